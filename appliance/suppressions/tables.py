"""Tables of suppressions in control.db.

A removed suppression stays as a tombstone (`removed_at`) until every process has seen it go.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from appliance.core.control import metadata
from appliance.core.database import ID

suppression = Table(
    "suppression",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = the whole box
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger, nullable=False),  # 0 = stands
    Column("generation", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "target"),
    Index("ix_suppression_generation", "generation", "id"),
)

applied_event = Table(
    "applied_event",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
)

soft_bounce = Table(
    "soft_bounce",
    metadata,
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("address", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)
