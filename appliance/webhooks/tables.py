"""Tables of webhooks in control.db.

`webhook_lane` says how far the stream of events is settled: its row 0 for all endpoints, a row of its own
for one that is elsewhere. `webhook_waiting` holds what was read from the stream and is not settled. Their
rows name no endpoint by a foreign key: the sender may write one in the moment in which it is deleted,
and `tidy` removes it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from appliance.core.control import metadata
from appliance.core.database import ID

webhook = Table(
    "webhook",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),  # JSON list
    Column("description", Text, nullable=False),
    Column("secret", Text, nullable=False),  # encrypted
    Column("old_secret", Text, nullable=False),  # encrypted; "" = none
    Column("old_secret_until", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("enabled_at", BigInteger, nullable=False),  # the last time
    Column("disabled_at", BigInteger, nullable=False),  # 0 = enabled
    Column("disabled_by", Text, nullable=False),
    Column("disabled_reason", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),  # of its last change (Part.WEBHOOKS)
    Index("ix_webhook_tenant", "tenant_id", "id"),
    sqlite_autoincrement=True,  # an id that was shown never names another endpoint
)

lane = Table(
    "webhook_lane",
    metadata,
    Column("webhook_id", BigInteger, primary_key=True, autoincrement=False),  # 0 = the others
    Column("cursor", BigInteger, nullable=False),  # a place in the log's journal
)

waiting = Table(
    "webhook_waiting",
    metadata,
    Column("webhook_id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # of the event
    Column("n", BigInteger, primary_key=True, autoincrement=False),  # of the event
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON, as it is sent
    Column("at", BigInteger, nullable=False),  # when it happened
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),  # first attempt; 0 = none yet
    Column("given_up_at", BigInteger, nullable=False),  # 0 = it waits
)

delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", ID, primary_key=True),
    Column("webhook_id", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("event", Text, nullable=False),  # the header webhook-id
    Column("type", Text, nullable=False),
    Column("message_id", BigInteger, nullable=False),  # 0 = a test
    Column("at", BigInteger, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),  # model.Outcome
    Column("status", BigInteger, nullable=False),  # of HTTP; 0 = no answer
    Column("took", BigInteger, nullable=False),  # ms
    Column("answer", Text, nullable=False),  # its beginning, or what went wrong
    Index("ix_webhook_delivery_webhook", "webhook_id", "id"),
    sqlite_autoincrement=True,
)
