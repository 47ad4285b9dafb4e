"""Tables of egress in control.db. Names never change, so they are the keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from appliance.core.control import metadata

_DEFAULT = text("is_default")

egress = Table(
    "egress",
    metadata,
    Column("name", Text, primary_key=True),
    Column("address", Text, nullable=False),  # IPv4; "" = none
    Column("address6", Text, nullable=False),  # IPv6; "" = none
    Column("helo", Text, nullable=False),
    Column("state", Text, nullable=False),  # mta.egress.EgressState
    Column("why", Text, nullable=False),
    Column("ipv6_forced", Boolean, nullable=False),  # IPv6 whatever its reverse DNS says
    Column("checks", Text, nullable=False),  # JSON of model.AddressCheck, one an address
    Column("checked_at", BigInteger, nullable=False),  # 0 = never
    Column("created_at", BigInteger, nullable=False),
)

pool = Table(
    "pool",
    metadata,
    Column("name", Text, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = shared
    Column("fallback", Text, nullable=False),  # name of a pool; "" = none
    Column("is_default", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(
        "uq_pool_default",
        "is_default",
        unique=True,
        sqlite_where=_DEFAULT,
        postgresql_where=_DEFAULT,
    ),
)

pool_member = Table(
    "pool_member",
    metadata,
    Column("pool", Text, ForeignKey("pool.name"), primary_key=True),
    Column("egress", Text, ForeignKey("egress.name"), primary_key=True),
    Column("weight", Integer, nullable=False),
)
