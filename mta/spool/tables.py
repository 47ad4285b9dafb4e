"""Tables of a spool. SQLite: one file a shard. PostgreSQL: all shards in one database.

`shard` stands in every row so that the same statements serve both. A message, its content and its
recipients are three tables: outcomes touch only the small rows, and the content goes as soon as
nobody needs it. The outbox holds the events that the log has not taken over yet (MTA-26).
Times are milliseconds since the epoch; words are the values of `mta.status`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData()

shard = Table(
    "shard",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # fencing token: rises with each owner
    Column("owner", Text, nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),  # highest message id ever given out
    Column("acked_seq", BigInteger, nullable=False),  # events up to here are in the log
)

message = Table(
    "message",
    metadata,
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("shard", SmallInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("credential_id", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("traffic_class", Text, nullable=False),
    Column("envelope_from", Text, nullable=False),
    Column("header_from", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("client", Text, nullable=False),
    Column("tags", Text, nullable=False),  # JSON list
    Column("metadata", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("body_8bit", Boolean, nullable=False),
    Column("ret", Text, nullable=False),
    Column("envid", Text, nullable=False),
    Column("dsn", Boolean, nullable=False),
    Column("return_path_mode", Text, nullable=False),
    Column("bounce_domain", Text, nullable=False),
    Column("signing_domain", Text, nullable=False),
    Column("open", Integer, nullable=False),  # recipients that are not in a final state yet
    Column("done_at", BigInteger, nullable=False),  # when `open` became 0; 0 before
    Column("digest", BigInteger),  # of the envelope (digest.py); NULL: from before there was one
)
OPEN, DONE_AT, DIGEST = map(message.columns.keys().index, ("open", "done_at", "digest"))
"""Places in a row of `message`, for whoever has rows in hand (check, salvage)."""
Index(
    "message_done",
    message.c.shard,
    message.c.done_at,
    sqlite_where=text("open = 0"),
    postgresql_where=text("open = 0"),
)

content = Table(
    "content",
    metadata,
    Column(
        "message_id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("data", LargeBinary, nullable=False),
    Column("digest", BigInteger),  # of the data; NULL: from before there was one
)

recipient = Table(
    "recipient",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("traffic_class", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("notify", Text, nullable=False),
    Column("orcpt", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("last_host", Text, nullable=False),
    Column("last_egress", Text, nullable=False),
    Column("pool", Text, nullable=False, server_default=text("''")),
    sqlite_with_rowid=False,
)
# The whole order in which a key is read, and the state: so that counting what waits, and finding it
# all at start, reads the index alone (a million rows in 1 s instead of 6).
_KEY = (
    recipient.c.shard,
    recipient.c.tenant_id,
    recipient.c.traffic_class,
    recipient.c.domain,
    recipient.c.pool,
    recipient.c.due_at,
    recipient.c.message_id,
    recipient.c.n,
    recipient.c.status,
)
_WAITING = text("status IN ('queued', 'deferred')")
Index("recipient_waiting", *_KEY, sqlite_where=_WAITING, postgresql_where=_WAITING)
_HELD = text("status = 'held'")
Index("recipient_held", *_KEY, recipient.c.expires_at, sqlite_where=_HELD, postgresql_where=_HELD)
# What waits of a tenant in the order in which people see it. Said so that PostgreSQL takes it for no other
# question: it would count what waits by it, and read every row for what this index lacks.
OF_TENANT = "coalesce(status, '') IN ('queued', 'deferred', 'held')"
Index(
    "recipient_of_tenant",
    recipient.c.shard,
    recipient.c.tenant_id,
    recipient.c.message_id,
    recipient.c.n,
    sqlite_where=text(OF_TENANT),
    postgresql_where=text(OF_TENANT),
)

outbox = Table(
    "outbox",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),  # -1: the event is about every recipient of the message
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
