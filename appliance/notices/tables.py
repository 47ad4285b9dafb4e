"""Tables of notices in control.db. What is over stays for a time; at most one of a kind and subject stands."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, text

from appliance.core.control import metadata
from appliance.core.database import ID

OPEN: Final = text("resolved_at = 0")

notice = Table(
    "notice",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = the box
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),  # model.Severity
    Column("text", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # 0 = not yet
    Column("resolved_at", BigInteger, nullable=False),  # 0 = it stands
    Index(
        "uq_notice_open",
        "tenant_id",
        "kind",
        "subject",
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
    sqlite_autoincrement=True,  # an id that was shown never names another notice
)
