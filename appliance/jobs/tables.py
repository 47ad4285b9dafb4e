"""Tables of jobs in control.db. What has ended stays for a time, what it was to read does not."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, text

from appliance.core.control import metadata
from appliance.core.database import ID

OPEN = text("ended_at = 0")

job = Table(
    "job",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = the box
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),  # model.JobState
    Column("asked", Text, nullable=False),  # JSON
    Column("place", Text, nullable=False),  # JSON
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("result", Text, nullable=False),  # JSON
    Column("error", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),  # 0 = it is open
    Column("crashes", BigInteger, nullable=False),
    Column("served_at", BigInteger, nullable=False),  # when a worker took it last
    Column("owner", Text, nullable=False),  # which worker has it, "" = none
    Column("leased_until", BigInteger, nullable=False),  # then another may take it
    Index("ix_job_open", "served_at", "id", sqlite_where=OPEN, postgresql_where=OPEN),
    Index("ix_job_tenant", "tenant_id", "id"),
    sqlite_autoincrement=True,  # an id that was shown never names another job
)

job_input = Table(
    "job_input",
    metadata,
    Column("job_id", BigInteger, ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("part", BigInteger, primary_key=True, autoincrement=False),  # from 0
    Column("text", Text, nullable=False),
)
