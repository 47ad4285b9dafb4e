"""The first tables of a spool: shard, messages with content and recipients, outbox, keys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WAITING = "status IN ('queued', 'deferred')"
HELD = "status = 'held'"
DONE = "open = 0"


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def shard() -> sa.Column[Any]:
    return sa.Column("shard", sa.SmallInteger, nullable=False)


def rowid(name: str) -> sa.Column[Any]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "shard",
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        number("epoch"),
        words("owner"),
        number("beat_at"),
        number("last_id"),
        number("acked_seq"),
    )
    _create_messages()
    _create_recipients()
    op.create_table(
        "outbox",
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        number("message_id"),
        count("n"),
        words("kind"),
        number("at"),
        octets("data"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        shard(),
        number("message_id"),
        number("expires_at"),
    )


def _create_messages() -> None:
    op.create_table(
        "message",
        rowid("id"),
        shard(),
        number("tenant_id"),
        number("credential_id"),
        words("source"),
        words("traffic_class"),
        words("envelope_from"),
        words("header_from"),
        words("message_id"),
        words("subject"),
        number("size"),
        number("accepted_at"),
        words("client"),
        words("tags"),
        words("metadata"),
        flag("smtputf8"),
        flag("body_8bit"),
        words("ret"),
        words("envid"),
        flag("dsn"),
        words("return_path_mode"),
        words("bounce_domain"),
        words("signing_domain"),
        octets("signature"),
        count("open"),
        number("done_at"),
    )
    _partial_index("message_done", "message", ["shard", "done_at"], DONE)
    op.create_table("content", rowid("message_id"), octets("data"))


def _create_recipients() -> None:
    op.create_table(
        "recipient",
        sa.Column("message_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        shard(),
        number("tenant_id"),
        words("traffic_class"),
        words("address"),
        words("domain"),
        words("status"),
        number("due_at"),
        number("expires_at"),
        count("attempts"),
        words("notify"),
        words("orcpt"),
        words("reason"),
        words("last_host"),
        words("last_egress"),
        sqlite_with_rowid=False,
    )
    waiting = ["shard", "tenant_id", "traffic_class", "domain", "due_at"]
    _partial_index("recipient_waiting", "recipient", waiting, WAITING)
    _partial_index("recipient_held", "recipient", ["shard", "tenant_id"], HELD)


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
