"""People: users, roles, invitations, second factors, sign-in sessions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def counted() -> sa.Column[Any]:
    return sa.Column("id", ID, nullable=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name)


def only_one(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f"uq_{table}_{column}")


def index(table: str, column: str) -> None:
    op.create_index(f"ix_{table}_{column}", table, [column])


def upgrade() -> None:
    op.create_table(
        "person",
        counted(),
        *(words(name) for name in ("email", "name", "password_hash", "box_role")),
        *(number(name) for name in ("created_at", "disabled_at", "signed_in_at")),
        words("totp_secret"),
        number("totp_step"),
        key("person", "id"),
        only_one("person", "email"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "membership",
        number("person_id"),
        number("tenant_id"),
        words("role"),
        number("created_at"),
        key("membership", "person_id", "tenant_id"),
        refers("membership", "person_id", "person"),
        refers("membership", "tenant_id", "tenant"),
    )
    index("membership", "tenant_id")
    op.create_table(
        "recovery_code",
        number("person_id"),
        octets("code_hash"),
        number("used_at"),
        key("recovery_code", "person_id", "code_hash"),
        refers("recovery_code", "person_id", "person"),
    )
    op.create_table(
        "passkey",
        counted(),
        number("person_id"),
        words("credential_id"),
        octets("public_key"),
        number("sign_count"),
        words("name"),
        *(number(name) for name in ("created_at", "used_at")),
        key("passkey", "id"),
        only_one("passkey", "credential_id"),
        refers("passkey", "person_id", "person"),
    )
    index("passkey", "person_id")
    create_sessions()
    create_links()


def create_sessions() -> None:
    op.create_table(
        "person_session",
        counted(),
        octets("token_hash"),
        *(number(n) for n in ("person_id", "tenant_id", "created_at", "seen_at", "expires_at")),
        *(words(name) for name in ("address", "agent")),
        key("person_session", "id"),
        only_one("person_session", "token_hash"),
        refers("person_session", "person_id", "person"),
        refers("person_session", "tenant_id", "tenant"),
        sqlite_autoincrement=True,
    )
    index("person_session", "person_id")
    index("person_session", "expires_at")
    op.create_table(
        "sign_in_ceremony",
        octets("token_hash"),
        words("kind"),
        number("person_id"),
        *(words(name) for name in ("client", "data")),
        number("expires_at"),
        key("sign_in_ceremony", "token_hash"),
    )
    index("sign_in_ceremony", "client")
    index("sign_in_ceremony", "expires_at")


def create_links() -> None:
    op.create_table(
        "person_link",
        counted(),
        octets("token_hash"),
        words("kind"),
        *(number(name) for name in ("tenant_id", "person_id")),
        *(words(name) for name in ("email", "role", "by")),
        *(number(name) for name in ("created_at", "expires_at")),
        key("person_link", "id"),
        only_one("person_link", "token_hash"),
        refers("person_link", "tenant_id", "tenant"),
        sqlite_autoincrement=True,
    )
    index("person_link", "email")
    index("person_link", "expires_at")
    op.create_table(
        "sign_in_guess",
        words("key"),
        *(number(name) for name in ("tries", "at", "before_at")),
        key("sign_in_guess", "key"),
    )
    index("sign_in_guess", "at")


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
