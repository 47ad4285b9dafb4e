"""Tables of statistics: a database of their own beside SQLite's log, or theirs within PostgreSQL.

No migrations lead here: what these hold is made from the log, and a program that counts otherwise
(VERSION) makes it anew. `generation` keeps counts that are being made again apart from those in use.
The key serves rankings (all values in some time), the index series (one value over time).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

from appliance.statistics.model import COLUMNS, Step

VERSION = 2
"""Raise it with every change of these tables or of what is counted how."""

metadata = MetaData()
# Compared as octets, whatever language the database was made for.
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")


def _counts(name: str) -> Table:
    table = Table(
        name,
        metadata,
        Column("generation", Integer, primary_key=True, autoincrement=False),
        Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
        Column("dimension", _BYTEWISE, primary_key=True),
        Column("start", BigInteger, primary_key=True, autoincrement=False),
        Column("value", _BYTEWISE, primary_key=True),
        *(Column(name, BigInteger, nullable=False) for name in COLUMNS),
        sqlite_with_rowid=False,
    )
    c = table.c
    Index(f"ix_{name}_value", c.generation, c.tenant_id, c.dimension, c.value, c.start)
    return table


counts_of_step = {
    Step.HOUR: _counts("statistics_hour"),
    Step.DAY: _counts("statistics_day"),
}

generation = Table(
    "statistics_generation",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("is_live", Boolean, nullable=False),  # one is: what readers see
    Column("cursor", Text, nullable=False),  # of the log; everything up to it is counted
    Column("counted_to", BigInteger, nullable=False),  # the same as a time
    Column("since", BigInteger, nullable=False),  # nothing from before is counted in it
    Column("touched_at", BigInteger, nullable=False),
)

version = Table(
    "statistics_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
