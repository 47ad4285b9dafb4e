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


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
