"""Tables of blocklists in control.db. What was delisted stays for a time, as history."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text

from appliance.core.control import metadata
from appliance.core.database import ID

OPEN: Final = text("delisted_at = 0")

listing = Table(
    "listing",
    metadata,
    Column("id", ID, primary_key=True),
    # No foreign key: an egress may go while a list still has its address.
    Column("egress", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("zone", Text, nullable=False),  # of the list
    Column("codes", Text, nullable=False),  # with a space between
    Column("text", Text, nullable=False),  # its TXT record
    Column("listed_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("delisted_at", BigInteger, nullable=False),  # 0 = listed
    Column("drained", Boolean, nullable=False),
    Index(
        "uq_listing_open",
        "egress",
        "address",
        "zone",
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
    sqlite_autoincrement=True,
)

blocklist = Table(
    "blocklist",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("state", Text, nullable=False),  # model.ListState
    Column("why", Text, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),  # when it came into this state
)
