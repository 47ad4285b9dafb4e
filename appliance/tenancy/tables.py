"""Tables of tenancy in control.db. Row 0 of `tenant` is the box itself."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    false,
    text,
)

from appliance.core.control import metadata
from appliance.core.database import ID

_NONE = text("''")

tenant = Table(
    "tenant",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("weight", Integer, nullable=False),
    Column("recipients_per_day", BigInteger, nullable=False),
    Column("suspended_at", BigInteger, nullable=False),
    Column("suspended_reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Names of egress pools: of all its mail, of bulk, of transactional mail; "" = not chosen.
    Column("pool", Text, nullable=False, server_default=_NONE),
    Column("bulk_pool", Text, nullable=False, server_default=_NONE),
    Column("transactional_pool", Text, nullable=False, server_default=_NONE),
    Column("sandboxed", Boolean, nullable=False, server_default=false()),
    # Who it is by post: for footers of mail, and for whoever has to write to it.
    Column("organisation", Text, nullable=False, server_default=_NONE),
    Column("country", Text, nullable=False, server_default=_NONE),
    Column("postal_address", Text, nullable=False, server_default=_NONE),
    # Where its public pages link to; "" = nowhere.
    Column("privacy_url", Text, nullable=False, server_default=_NONE),
    Column("terms_url", Text, nullable=False, server_default=_NONE),
)

audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("by", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("address", Text, nullable=False, server_default=_NONE),
    Index("ix_audit_tenant", "tenant_id", "id"),
)
