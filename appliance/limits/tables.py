"""Tables of limits in control.db."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from appliance.core.control import metadata

budget = Table(
    "budget",
    metadata,
    Column("key", Text, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("used", BigInteger, nullable=False),
    Column("granted", BigInteger, nullable=False),  # by the last lease; lets it be one statement
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("key", Text, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
)
