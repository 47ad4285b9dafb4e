"""What waits of a tenant, oldest first: its people page through it without meeting the others' mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WAITS = sa.text("coalesce(status, '') IN ('queued', 'deferred', 'held')")


def upgrade() -> None:
    columns = ["shard", "tenant_id", "message_id", "n"]
    op.create_index(
        "recipient_of_tenant", "recipient", columns, sqlite_where=WAITS, postgresql_where=WAITS
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
