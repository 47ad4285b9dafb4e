"""Tables of shaping in control.db. What is over stays for a time, so that every process sees it end."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, Table, Text

from appliance.core.control import metadata

throttle = Table(
    "throttle",
    metadata,
    Column("egress", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("domain", Text, primary_key=True),
    Column("rate_count", Integer, nullable=False),  # 0 = the configured rate
    Column("rate_seconds", Float, nullable=False),
    Column("connections", Integer, nullable=False),  # 0 = as configured
    Column("suspended_until", BigInteger, nullable=False),  # 0 = not suspended
    Column("rule", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("fault_at", BigInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
    Column("quiet", BigInteger, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("slowed_at", BigInteger, nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("history", Text, nullable=False),  # JSON: [[at, kind, words], ...]
    Column("generation", BigInteger, nullable=False, index=True),
)
