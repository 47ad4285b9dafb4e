"""Tables of credentials in control.db."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text, text

from appliance.core.control import metadata
from appliance.core.database import ID

_ZERO = text("0")
_NONE = text("''")

credential = Table(
    "credential",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("policy", Text, nullable=False),  # JSON of model.Policy
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("last_used_from", Text, nullable=False),
    Column("usual_per_hour", BigInteger, nullable=False),  # recipients; 0 = not known yet
    Column("door", Text, nullable=False, server_default=text("'smtp'")),
    # A revoked credential keeps its row for history, but not its name.
    Index(
        "uq_credential_name",
        "tenant_id",
        "name",
        unique=True,
        sqlite_where=text("revoked_at = 0"),
        postgresql_where=text("revoked_at = 0"),
    ),
)

login = Table(
    "login",
    metadata,
    Column("username", Text, primary_key=True),
    Column("credential_id", BigInteger, ForeignKey("credential.id"), nullable=False, index=True),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# Statistics for a fortnight. No foreign key: an event of a credential that a restored control.db does
# not know must not be refused, it is read by nobody and forgotten with the rest.
credential_hour = Table(
    "credential_hour",
    metadata,
    Column("credential_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # its start in UTC, ms
    Column("recipients", BigInteger, nullable=False),
)

# What came of a credential's first tries, for the page that waits for its first message.
trial = Table(
    "credential_trial",
    metadata,
    Column(
        "credential_id",
        BigInteger,
        ForeignKey("credential.id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("tenant_id", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False, server_default=_ZERO),
    Column("signed_in_at", BigInteger, nullable=False, server_default=_ZERO),
    Column("address", Text, nullable=False, server_default=_NONE),
    Column("tls", Text, nullable=False, server_default=_NONE),
    Column("refused_at", BigInteger, nullable=False, server_default=_ZERO),
    Column("refused_sender", Text, nullable=False, server_default=_NONE),
    Column("refused_words", Text, nullable=False, server_default=_NONE),
    Column("accepted_at", BigInteger, nullable=False, server_default=_ZERO),
    Column("message_id", BigInteger, nullable=False, server_default=_ZERO),
    Column("delivered_at", BigInteger, nullable=False, server_default=_ZERO),
    Index("ix_credential_trial_changed_at", "changed_at"),
)
