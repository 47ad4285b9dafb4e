"""TLS results by day and policy domain, and the reports that are made of them (MTA-20)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tls_result",
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "domain", "digest", name="pk_tls_result"),
    )
    op.create_table(
        "tls_report",
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("try_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("day", "domain", name="pk_tls_report"),
    )
    is_open = sa.text("done_at = 0")
    op.create_index(
        "ix_tls_report_try_at",
        "tls_report",
        ["try_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
