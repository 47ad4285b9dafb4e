"""Tables of people in control.db. What proves something (a token, a code) is stored as its hash alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text

from appliance.core.control import metadata
from appliance.core.database import ID

person = Table(
    "person",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # case-folded
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # Argon2id; "" = none
    Column("box_role", Text, nullable=False),  # admin, support; "" = none
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger, nullable=False),
    Column("signed_in_at", BigInteger, nullable=False),
    Column("totp_secret", Text, nullable=False),  # sealed; "" = no second factor
    Column("totp_step", BigInteger, nullable=False),  # the last one that was used
    sqlite_autoincrement=True,  # an id that stands in the audit log never names somebody else
)

membership = Table(
    "membership",
    metadata,
    Column("person_id", BigInteger, ForeignKey("person.id"), primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), primary_key=True, autoincrement=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_membership_tenant_id", "tenant_id"),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("person_id", BigInteger, ForeignKey("person.id"), primary_key=True, autoincrement=False),
    Column("code_hash", LargeBinary, primary_key=True),
    Column("used_at", BigInteger, nullable=False),
)

passkey = Table(
    "passkey",
    metadata,
    Column("id", ID, primary_key=True),
    Column("person_id", BigInteger, ForeignKey("person.id"), nullable=False, index=True),
    Column("credential_id", Text, nullable=False, unique=True),  # base64url
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
)

session = Table(
    "person_session",
    metadata,
    Column("id", ID, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("person_id", BigInteger, ForeignKey("person.id"), nullable=False, index=True),
    # Whose rows it sees: 0 = the whole box. Somebody with a role of the box may enter a tenant's view.
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    sqlite_autoincrement=True,
)

# What a sign-in or a registration must come back with, once and soon.
ceremony = Table(
    "sign_in_ceremony",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("person_id", BigInteger, nullable=False),  # 0 = not known yet
    Column("client", Text, nullable=False, index=True),
    Column("data", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

link = Table(
    "person_link",
    metadata,
    Column("id", ID, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # links.Kind
    Column("tenant_id", BigInteger, ForeignKey("tenant.id"), nullable=False),  # 0 = the box
    Column("person_id", BigInteger, nullable=False),  # 0 = nobody yet
    Column("email", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

guess = Table(
    "sign_in_guess",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tries", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("before_at", BigInteger, nullable=False),  # of the try before the last
)
