"""Tables of keys in control.db."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text

from appliance.core.control import metadata
from appliance.core.database import ID

api_key = Table(
    "api_key",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = the box
    Column("credential_id", BigInteger, nullable=False),  # 0 = it may not send
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("rights", Text, nullable=False),  # words, separated by blanks
    Column("sandboxed", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("last_used_from", Text, nullable=False),
    Index("ix_api_key_tenant", "tenant_id", "id"),
    sqlite_autoincrement=True,  # a number that stands in a token never names another key
)

# A request that must not be done twice. It is claimed before it is done; its answer follows.
api_request = Table(
    "api_request",
    metadata,
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # of what was asked
    Column("claimed_until", BigInteger, nullable=False),  # then whoever did it is taken for dead
    Column("created_at", BigInteger, nullable=False),
    Column("status", BigInteger, nullable=False),  # of HTTP; 0 = it is being done
    Column("answer", LargeBinary, nullable=False),
    Index("ix_api_request_created", "created_at"),
)
