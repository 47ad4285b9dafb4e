"""Keys of the HTTP API, requests that are not to be done twice, and tenants that send to nobody."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.add_column(
        "credential", sa.Column("door", sa.Text, nullable=False, server_default=sa.text("'smtp'"))
    )
    op.add_column(
        "tenant", sa.Column("sandboxed", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "api_key",
        sa.Column("id", ID, nullable=False),
        *(number(name) for name in ("tenant_id", "credential_id")),
        words("name"),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        words("rights"),
        sa.Column("sandboxed", sa.Boolean, nullable=False),
        words("by"),
        *(number(name) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")),
        words("last_used_from"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_api_key_tenant_id_tenant"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_key_tenant", "api_key", ["tenant_id", "id"])
    op.create_table(
        "api_request",
        number("tenant_id"),
        words("key"),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        number("claimed_until"),
        number("created_at"),
        number("status"),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_api_request"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name="fk_api_request_tenant_id_tenant"
        ),
    )
    op.create_index("ix_api_request_created", "api_request", ["created_at"])
    op.execute("INSERT INTO generation (part, value) VALUES ('keys', 0)")


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
