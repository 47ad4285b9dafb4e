"""Pauses of providers, egresses and tags; pauses that end by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OLD = ["tenant_id", "domain", "credential_id", "site"]
NEW = [*OLD, "provider", "egress", "tag"]


def upgrade() -> None:
    last = _last_id()
    options = {"sqlite_autoincrement": True}
    with op.batch_alter_table("pause", table_kwargs=options) as table:
        for name in ("provider", "egress", "tag"):
            table.add_column(sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
        table.add_column(
            sa.Column("expires_at", sa.BigInteger, nullable=False, server_default=sa.text("0"))
        )
        table.drop_constraint("uq_pause_" + "_".join(OLD), type_="unique")
        table.create_unique_constraint("uq_pause_target", NEW)
    _go_on_counting(last)


def _last_id() -> int:
    """The highest id ever given: SQLite forgets it with the copy, if that pause was lifted since."""
    if op.get_bind().dialect.name != "sqlite":
        return 0
    words = "SELECT seq FROM sqlite_sequence WHERE name = 'pause'"
    return int(op.get_bind().execute(sa.text(words)).scalar() or 0)


def _go_on_counting(last: int) -> None:
    if last:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'pause'")
        count = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('pause', :last)")
        op.execute(count.bindparams(last=last))


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
