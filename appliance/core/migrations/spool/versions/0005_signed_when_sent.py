"""A message is signed when it is sent: no signature waits with it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("message", "signature")


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
