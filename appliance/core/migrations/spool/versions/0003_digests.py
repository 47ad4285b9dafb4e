"""Digests by which damage inside a row is noticed; messages from before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("message", "content"):
        op.add_column(table, sa.Column("digest", sa.BigInteger))


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
