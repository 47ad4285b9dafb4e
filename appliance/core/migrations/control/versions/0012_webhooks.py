"""Webhooks: endpoints, how far each was told, what waits for them, and the log of deliveries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def number(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, autoincrement=False if key else "auto")


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    generation = sa.table("generation", sa.column("part"), sa.column("value"))
    op.bulk_insert(generation, [{"part": "webhooks", "value": 0}])
    op.create_table(
        "webhook",
        sa.Column("id", ID, nullable=False),
        number("tenant_id"),
        *(words(name) for name in ("url", "types", "description", "secret", "old_secret")),
        *(number(name) for name in ("old_secret_until", "created_at", "enabled_at", "disabled_at")),
        *(words(name) for name in ("disabled_by", "disabled_reason")),
        number("generation"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_webhook_tenant_id_tenant"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_tenant", "webhook", ["tenant_id", "id"])
    op.create_table(
        "webhook_lane",
        number("webhook_id", key=True),
        number("cursor"),
        sa.PrimaryKeyConstraint("webhook_id", name="pk_webhook_lane"),
    )
    op.create_table(
        "webhook_waiting",
        *(number(name, key=True) for name in ("webhook_id", "message_id", "seq", "n")),
        *(words(name) for name in ("type", "body")),
        *(number(name) for name in ("at", "due_at", "attempts", "first_at", "given_up_at")),
        sa.PrimaryKeyConstraint("webhook_id", "message_id", "seq", "n", name="pk_webhook_waiting"),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", ID, nullable=False),
        *(number(name) for name in ("webhook_id", "tenant_id")),
        *(words(name) for name in ("event", "type")),
        *(number(name) for name in ("message_id", "at", "attempt")),
        words("outcome"),
        *(number(name) for name in ("status", "took")),
        words("answer"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_delivery"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_delivery_webhook", "webhook_delivery", ["webhook_id", "id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
