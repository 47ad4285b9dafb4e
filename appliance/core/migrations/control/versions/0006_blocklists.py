"""Blocklists: who is listed where, and how each list did last; notices."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def own_id(table: str) -> tuple[sa.Column[Any], sa.PrimaryKeyConstraint]:
    return sa.Column("id", ID, nullable=False), sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def one_open(table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"uq_{table}_open",
        table,
        columns,
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def upgrade() -> None:
    blocklists()
    notices()


def blocklists() -> None:
    op.create_table(
        "listing",
        *own_id("listing"),
        *(words(name) for name in ("egress", "address", "zone", "codes", "text")),
        *(number(name) for name in ("listed_at", "last_seen_at", "delisted_at")),
        sa.Column("drained", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    one_open("listing", ["egress", "address", "zone"], "delisted_at = 0")
    op.create_table(
        "blocklist",
        words("zone"),
        words("state"),
        words("why"),
        number("checked_at"),
        number("since"),
        sa.PrimaryKeyConstraint("zone", name="pk_blocklist"),
    )


def notices() -> None:
    op.create_table(
        "notice",
        *own_id("notice"),
        number("tenant_id"),
        *(words(name) for name in ("kind", "subject", "severity", "text", "next_step")),
        *(number(name) for name in ("raised_at", "last_at", "count", "seen_at", "resolved_at")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_notice_tenant_id_tenant"),
        sqlite_autoincrement=True,
    )
    one_open("notice", ["tenant_id", "kind", "subject"], "resolved_at = 0")


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
