"""Tables of operations in control.db. `kill_switch` has one row, id 1."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from appliance.core.control import metadata
from appliance.core.database import ID

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("is_on", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

pause = Table(
    "pause",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = any tenant
    Column("domain", Text, nullable=False),
    Column("credential_id", BigInteger, nullable=False),
    Column("site", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("provider", Text, nullable=False, server_default=text("''")),
    Column("egress", Text, nullable=False, server_default=text("''")),
    Column("tag", Text, nullable=False, server_default=text("''")),
    Column("expires_at", BigInteger, nullable=False, server_default=text("0")),  # 0 = never
    UniqueConstraint(
        *("tenant_id", "domain", "credential_id", "site", "provider", "egress", "tag"),
        name="uq_pause_target",  # the usual name is too long for PostgreSQL
    ),
    sqlite_autoincrement=True,  # the id of a pause that was lifted never names another
)
