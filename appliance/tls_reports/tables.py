"""Tables of TLS reports in control.db. A row of `tls_report` is a report that is due or was sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from appliance.core.control import metadata

_OPEN = text("done_at = 0")

tls_result = Table(
    "tls_result",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),  # its midnight, UTC
    Column("domain", Text, primary_key=True),  # of the policy
    Column("digest", Text, primary_key=True),  # of `result`
    Column("result", Text, nullable=False),  # JSON: everything that a report tells but the count
    Column("total", BigInteger, nullable=False),
)

tls_report = Table(
    "tls_report",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("domain", Text, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("try_at", BigInteger, nullable=False),  # while somebody tries: until when it is his
    Column("done_at", BigInteger, nullable=False),  # 0 = not yet
    Column("outcome", Text, nullable=False),  # where it went or what went wrong, in words
    Index("ix_tls_report_try_at", "try_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
)
