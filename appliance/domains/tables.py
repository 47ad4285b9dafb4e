"""Tables of domains in control.db. The box's own domain, for its notices, belongs to tenant 0."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from appliance.core.control import metadata
from appliance.core.database import ID

_VERIFIED = text("verified_at > 0")
_DEFAULT = text("is_default")

domain = Table(
    "domain",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("token", Text, nullable=False),  # proves ownership in a TXT record
    Column("verified_at", BigInteger, nullable=False),  # 0 = not proved
    Column("return_path", Text, nullable=False),  # host name of its bounce domain
    Column("return_path_verified", Boolean, nullable=False),
    Column("has_dmarc", Boolean, nullable=False),
    Column("return_path_mode", Text, nullable=False),  # "" = the credential's or the default
    Column("checks", Text, nullable=False),  # JSON of the last model.Report, "" before any
    Column("checked_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Anybody may claim a name; only one may prove it. So nobody can block another's domain.
    UniqueConstraint("tenant_id", "name"),
    Index(
        "uq_domain_verified",
        "name",
        unique=True,
        sqlite_where=_VERIFIED,
        postgresql_where=_VERIFIED,
    ),
    Index(
        "uq_domain_default",
        "tenant_id",
        unique=True,
        sqlite_where=_DEFAULT,
        postgresql_where=_DEFAULT,
    ),
    Index("ix_domain_checked_at", "checked_at"),  # which were looked at last (marks.py)
)

domain_key = Table(
    "domain_key",
    metadata,
    Column("id", ID, primary_key=True),
    Column("domain_id", BigInteger, ForeignKey("domain.id"), nullable=False),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("selector", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("private_key", Text, nullable=False),  # PEM, encrypted, bound to this row
    Column("public_key", Text, nullable=False),  # the p= of its record
    Column("state", Text, nullable=False),  # model.KeyState
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("withdraw_at", BigInteger, nullable=False),  # 0 = not retiring
    UniqueConstraint("domain_id", "selector"),
    sqlite_autoincrement=True,  # the cache of loaded keys goes by id
)
