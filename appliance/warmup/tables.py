"""Tables of warmup in control.db."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from appliance.core.control import metadata

warmup = Table(
    "warmup",
    metadata,
    Column("egress", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("course", Text, nullable=False),  # JSON of mta.warmup.schedule.Course
    Column("state", Text, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("decided", Text, nullable=False),
    Column("last_mail", Text, nullable=False),
    Column("paused_until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

warmup_day = Table(
    "warmup_day",
    metadata,
    Column("egress", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("stage", Integer, nullable=False),
    Column("budget", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("deferred", BigInteger, nullable=False),
    Column("bounced", BigInteger, nullable=False),
    Column("blocked", BigInteger, nullable=False),
    Column("complained", BigInteger, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
