"""Tables of the event log. SQLite: a file a day. PostgreSQL: the same, partitioned by the day.

The day is that of the message id, whose upper bits are its time: partitions are ranges of ids, and
news that come late find the recipient they are about. All search indexes lie on the recipient row;
each ends in what the result is ordered by, and in the tenant, so that another tenant's rows are passed
over inside it. The journal gives every event a place in the order of arrival, for those that follow
the stream.

Events and journal only ever grow at their end: in SQLite both lie in the order of their row numbers,
as in PostgreSQL's heap, and an event is found through a small index by (message, recipient, seq).
Kept in that order themselves, a batch of retries rewrote a page for nearly every event in it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.types import UserDefinedType

metadata = MetaData()
# Prefixes are ranges of octets, whatever language the database was made for.
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
_PARTED: dict[str, Any] = {"postgresql_partition_by": "RANGE (message_id)"}
_DAILY: dict[str, Any] = {"sqlite_with_rowid": False, **_PARTED}


class _RowNumber(UserDefinedType[int]):
    """SQLite's own number of a row: what rises is appended, and no index is needed to find it."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "INTEGER PRIMARY KEY"


_PLACE = BigInteger().with_variant(_RowNumber(), "sqlite")

recipient = Table(
    "log_recipient",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("credential_id", BigInteger, nullable=False),
    Column("address", _BYTEWISE, nullable=False),
    Column("domain", _BYTEWISE, nullable=False),
    Column("sender", _BYTEWISE, nullable=False),
    Column("header_from", _BYTEWISE, nullable=False),
    Column("message_id_header", _BYTEWISE, nullable=False),
    Column("subject", _BYTEWISE, nullable=False),
    Column("tags", _BYTEWISE, nullable=False),  # JSON list
    Column("traffic_class", _BYTEWISE, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("status", _BYTEWISE, nullable=False),
    Column("status_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reply", _BYTEWISE, nullable=False),  # the last answer, or why without one
    Column("host", _BYTEWISE, nullable=False),
    Column("egress", _BYTEWISE, nullable=False),
    Column("tls", _BYTEWISE, nullable=False),
    Column("category", _BYTEWISE, nullable=False),
    Column("flags", Integer, nullable=False),  # bits of model.Flag
    **_DAILY,
)
_r = recipient.c
Index("ix_log_recipient_address", func.lower(_r.address), _r.message_id, _r.n, _r.tenant_id)
Index("ix_log_recipient_domain", _r.domain, _r.message_id, _r.n, _r.tenant_id)
Index("ix_log_recipient_header_from", func.lower(_r.header_from), _r.message_id, _r.n, _r.tenant_id)
Index("ix_log_recipient_tenant", _r.tenant_id, _r.message_id, _r.n)
Index("ix_log_recipient_message_id_header", _r.message_id_header, _r.message_id, _r.n)
# Most rows are born delivered (rows.py folds a batch first) and never enter these two.
TROUBLED = text("status <> 'delivered'")
FLAGGED = text("flags <> 0")
Index(
    "ix_log_recipient_status",
    _r.status,
    _r.message_id,
    _r.n,
    _r.tenant_id,
    sqlite_where=TROUBLED,
    postgresql_where=TROUBLED,
)
Index(
    "ix_log_recipient_flags",
    _r.message_id,
    _r.n,
    _r.flags,
    _r.tenant_id,
    sqlite_where=FLAGGED,
    postgresql_where=FLAGGED,
)

tag = Table(
    "log_tag",
    metadata,
    Column("tag", _BYTEWISE, primary_key=True),
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    **_DAILY,
)

event = Table(
    "log_event",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),  # -1: every recipient
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # of the shard's outbox
    Column("kind", _BYTEWISE, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON, as the shard's owner wrote it
    **_PARTED,
)

journal = Table(
    "log_journal",
    metadata,
    Column("position", _PLACE, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("kind", _BYTEWISE, nullable=False),
    # Of a partitioned table each key holds what it is partitioned by.
    PrimaryKeyConstraint("position", "message_id").ddl_if(dialect="postgresql"),
    **_PARTED,
)

progress = Table(
    "log_progress",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),  # the highest that this day's partition holds
    sqlite_with_rowid=False,
)

rejected = Table(
    "log_rejected",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),  # on which it was set aside
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("kind", _BYTEWISE, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("problem", _BYTEWISE, nullable=False),
    sqlite_with_rowid=False,
)

DAILY = (recipient, tag, event, journal)
"""What PostgreSQL partitions by day."""
