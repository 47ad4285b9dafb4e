"""The pages to which a tenant's public footers link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("privacy_url", "terms_url"):
        column = sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))
        op.add_column("tenant", column)


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
