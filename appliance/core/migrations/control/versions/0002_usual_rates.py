"""What each credential sent hour by hour, from which its usual rate is learned (MTA-3)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credential_hour",
        sa.Column("credential_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("hour", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("recipients", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("credential_id", "hour", name="pk_credential_hour"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
