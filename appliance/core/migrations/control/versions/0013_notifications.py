"""Notifications: what people chose, how far they have looked, and what has been mailed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def of_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id"], ["tenant.id"], name=f"fk_{table}_tenant_id_tenant"
    )


def upgrade() -> None:
    op.create_table(
        "notification_choice",
        number("person_id"),
        number("tenant_id"),
        sa.Column("kind", sa.Text, nullable=False),
        flag("in_feed"),
        flag("by_mail"),
        sa.PrimaryKeyConstraint("person_id", "tenant_id", "kind", name="pk_notification_choice"),
        of_tenant("notification_choice"),
    )
    op.create_table(
        "notification_seen",
        number("person_id"),
        number("tenant_id"),
        number("upto"),
        sa.PrimaryKeyConstraint("person_id", "tenant_id", name="pk_notification_seen"),
        of_tenant("notification_seen"),
    )
    op.create_table(
        "notification_mailed",
        sa.Column("id", sa.Integer, nullable=False),
        number("upto"),
        sa.PrimaryKeyConstraint("id", name="pk_notification_mailed"),
    )
    op.execute(
        "INSERT INTO notification_mailed (id, upto) SELECT 1, COALESCE(MAX(id), 0) FROM notice"
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
