"""Counters of the parts egress, warmup and shaping; egress addresses and pools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PARTS = ("egress", "warmup", "shaping")


def upgrade() -> None:
    generation = sa.table("generation", sa.column("part"), sa.column("value"))
    op.bulk_insert(generation, [{"part": part, "value": 0} for part in PARTS])
    for name in ("pool", "bulk_pool", "transactional_pool"):
        op.add_column("tenant", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.create_table(
        "egress",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("address6", sa.Text, nullable=False),
        sa.Column("helo", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("ipv6_forced", sa.Boolean, nullable=False),
        sa.Column("checks", sa.Text, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_egress"),
    )
    op.create_table(
        "pool",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.BigInteger, nullable=False),
        sa.Column("fallback", sa.Text, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pool"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_pool_tenant_id_tenant"),
    )
    default = sa.text("is_default")
    op.create_index(
        "uq_pool_default",
        "pool",
        ["is_default"],
        unique=True,
        sqlite_where=default,
        postgresql_where=default,
    )
    op.create_table(
        "pool_member",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("egress", sa.Text, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("pool", "egress", name="pk_pool_member"),
        sa.ForeignKeyConstraint(["pool"], ["pool.name"], name="fk_pool_member_pool_pool"),
        sa.ForeignKeyConstraint(["egress"], ["egress.name"], name="fk_pool_member_egress_egress"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
