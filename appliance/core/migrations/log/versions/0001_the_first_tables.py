"""The first tables of the event log: recipients with the search indexes, events, journal, tags."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
DAILY: dict[str, Any] = {
    "sqlite_with_rowid": False,
    "postgresql_partition_by": "RANGE (message_id)",
}
WHOLE: dict[str, Any] = {"sqlite_with_rowid": False}


def key(name: str, kind: Any = sa.BigInteger) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, BYTEWISE, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def upgrade() -> None:
    _recipients()
    op.create_table(
        "log_tag",
        key("tag", BYTEWISE),
        key("message_id"),
        number("tenant_id"),
        **DAILY,
    )
    op.create_table(
        "log_event",
        key("message_id"),
        key("n", sa.Integer),
        key("seq"),
        words("kind"),
        number("at"),
        octets("data"),
        **DAILY,
    )
    op.create_table(
        "log_journal",
        key("position"),
        key("message_id"),
        count("n"),
        number("seq"),
        number("tenant_id"),
        words("kind"),
        **DAILY,
    )
    op.create_table(
        "log_progress",
        key("day", sa.Integer),
        key("shard", sa.SmallInteger),
        number("seq"),
        **WHOLE,
    )
    op.create_table(
        "log_rejected",
        key("day", sa.Integer),
        key("shard", sa.SmallInteger),
        key("seq"),
        number("message_id"),
        number("n"),
        words("kind"),
        number("at"),
        octets("data"),
        words("problem"),
        **WHOLE,
    )


def _recipients() -> None:
    op.create_table(
        "log_recipient",
        key("message_id"),
        key("n", sa.Integer),
        number("tenant_id"),
        number("credential_id"),
        words("address"),
        words("domain"),
        words("sender"),
        words("header_from"),
        words("message_id_header"),
        words("subject"),
        words("tags"),
        words("traffic_class"),
        number("size"),
        number("accepted_at"),
        words("status"),
        number("status_at"),
        count("attempts"),
        words("reply"),
        words("host"),
        words("egress"),
        words("tls"),
        words("category"),
        count("flags"),
        **DAILY,
    )
    index("address", sa.text("lower(address)"), "message_id", "n", "tenant_id")
    index("domain", "domain", "message_id", "n", "tenant_id")
    index("header_from", sa.text("lower(header_from)"), "message_id", "n", "tenant_id")
    index("tenant", "tenant_id", "message_id", "n")
    index("message_id_header", "message_id_header", "message_id", "n")
    index("status", "status", "message_id", "n", "tenant_id", where="status <> 'delivered'")
    index("flags", "message_id", "n", "flags", "tenant_id", where="flags <> 0")


def index(name: str, *columns: Any, where: str = "") -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        f"ix_log_recipient_{name}",
        "log_recipient",
        list(columns),
        sqlite_where=condition,
        postgresql_where=condition,
    )
