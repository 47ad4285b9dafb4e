"""Where each egress stands with each provider it is warmed up for, and what its days were (MTA-15)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.create_table(
        "warmup",
        words("egress"),
        words("provider"),
        words("schedule"),
        number("target"),
        words("course"),
        words("state"),
        sa.Column("stage", sa.Integer, nullable=False),
        number("started_at"),
        words("decided"),
        words("last_mail"),
        number("paused_until"),
        words("reason"),
        number("changed_at"),
        sa.PrimaryKeyConstraint("egress", "provider", name="pk_warmup"),
    )
    op.create_table(
        "warmup_day",
        words("egress"),
        words("provider"),
        words("day"),
        sa.Column("stage", sa.Integer, nullable=False),
        number("budget"),
        number("used"),
        number("delivered"),
        number("deferred"),
        number("bounced"),
        number("blocked"),
        number("complained"),
        words("decision"),
        words("reason"),
        sa.PrimaryKeyConstraint("egress", "provider", "day", name="pk_warmup_day"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
