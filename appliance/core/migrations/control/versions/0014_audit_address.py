"""The audit log says from where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("address", sa.Text, nullable=False, server_default=sa.text("''"))
    op.add_column("audit", column)


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
