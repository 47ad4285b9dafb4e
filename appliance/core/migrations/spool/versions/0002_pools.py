"""The egress pool that a recipient asked for; it is part of the key under which it waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WAITING = "status IN ('queued', 'deferred')"
KEY = ["shard", "tenant_id", "traffic_class", "domain", "pool", "due_at"]


def upgrade() -> None:
    op.add_column("recipient", sa.Column("pool", sa.Text, nullable=False, server_default=""))
    op.drop_index("recipient_waiting", "recipient")
    condition = sa.text(WAITING)
    op.create_index(
        "recipient_waiting",
        "recipient",
        KEY,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
