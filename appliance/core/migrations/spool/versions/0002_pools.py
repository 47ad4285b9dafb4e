"""The egress pool that a recipient asked for; it is part of the key under which it waits.

Both indexes take in what counting needs: a question about a deep queue reads them alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = [
    "shard",
    "tenant_id",
    "traffic_class",
    "domain",
    "pool",
    "due_at",
    "message_id",
    "n",
    "status",
]
INDEXES = {
    "recipient_waiting": (KEY, sa.text("status IN ('queued', 'deferred')")),
    "recipient_held": ([*KEY, "expires_at"], sa.text("status = 'held'")),
}


def upgrade() -> None:
    op.add_column("recipient", sa.Column("pool", sa.Text, nullable=False, server_default=""))
    for name, (columns, condition) in INDEXES.items():
        op.drop_index(name, "recipient")
        op.create_index(
            name, "recipient", columns, sqlite_where=condition, postgresql_where=condition
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
