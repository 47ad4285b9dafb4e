"""What the answers of receivers have changed: who is slowed or suspended, until when, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "throttle",
        sa.Column("egress", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("rate_count", sa.Integer, nullable=False),
        sa.Column("rate_seconds", sa.Float, nullable=False),
        sa.Column("connections", sa.Integer, nullable=False),
        sa.Column("suspended_until", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("fault_at", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.Column("quiet", sa.BigInteger, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("slowed_at", sa.BigInteger, nullable=False),
        sa.Column("raised_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("history", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("egress", "zone", "tenant_id", "domain", name="pk_throttle"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_throttle_tenant_id_tenant"),
    )
    op.create_index("ix_throttle_generation", "throttle", ["generation"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
