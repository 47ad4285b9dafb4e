"""Tables of notifications in control.db."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Table, Text

from appliance.core.control import metadata

choice = Table(
    "notification_choice",
    metadata,
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("in_feed", Boolean, nullable=False),
    Column("by_mail", Boolean, nullable=False),
)

seen = Table(
    "notification_seen",
    metadata,
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("upto", BigInteger, nullable=False),  # the newest notice that they have seen
)

# One row, id 1: up to which notice everybody has been written to.
mailed = Table(
    "notification_mailed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("upto", BigInteger, nullable=False),
)
