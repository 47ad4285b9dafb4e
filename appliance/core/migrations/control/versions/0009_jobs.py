"""Jobs, and what they are given to read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
OPEN = sa.text("ended_at = 0")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        number("tenant_id"),
        *(words(name) for name in ("kind", "state", "asked", "place")),
        *(number(name) for name in ("done", "total")),
        *(words(name) for name in ("result", "error", "by")),
        *(number(name) for name in ("created_at", "started_at", "ended_at", "crashes")),
        number("served_at"),
        words("owner"),
        number("leased_until"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_job_tenant_id_tenant"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_job_open", "job", ["served_at", "id"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("ix_job_tenant", "job", ["tenant_id", "id"])
    op.create_table(
        "job_input",
        number("job_id"),
        number("part"),
        words("text"),
        sa.PrimaryKeyConstraint("job_id", "part", name="pk_job_input"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_job_input_job_id_job"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
