"""Values of credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mta.directory import FromPolicy, Gate
from mta.message import ReturnPathMode  # noqa: TC001 - msgspec reads annotations at run time
from mta.status import TrafficClass  # noqa: TC001 - likewise


class Door(StrEnum):
    """Where a credential is shown."""

    SMTP = "smtp"  # with a user name and a password
    API = "api"  # behind an API key, which has a secret of its own (appliance/keys)
    CONSOLE = "console"  # behind the sessions of people, one for each tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a credential may do; each field means what its namesake of mta.directory.Credential does.

    Stored as JSON, so that a new field needs no migration: an old row reads as its default.
    """

    from_policy: FromPolicy = FromPolicy.VERIFIED
    envelope_sender_verified: bool = False
    allowed_from: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()  # CIDR
    traffic_class: TrafficClass | None = None
    tags: tuple[str, ...] = ()
    return_path_mode: ReturnPathMode | None = None
    dsn: bool = True
    compliance: Gate = Gate.OFF
    refuse_suppressed: bool = False
    accept_8bit_headers: bool = False
    normalise_line_ends: bool = False
    hide_client: bool = False
    recipients_per_hour: int = 0
    recipients_per_day: int = 0
    surge_hold: bool = True
    pool: str = ""
    sandbox: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name with the keyed hash of its password."""

    username: str
    secret_hash: bytes = field(repr=False)
    created_at: int
    expires_at: int  # 0 = never


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """A credential with its logins, newest first."""

    id: int
    tenant_id: int
    name: str
    policy: Policy
    created_at: int
    revoked_at: int  # 0 = valid
    last_used_at: int  # 0 = never
    last_used_from: str
    usual_per_hour: int  # recipients in a usual hour; 0 = not known yet
    logins: tuple[Login, ...]
    door: Door = Door.SMTP


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedLogin:
    """A login just made. The password is nowhere else: show it now or rotate again."""

    credential: CredentialRecord
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """That a credential logged in, noted in batches."""

    credential_id: int
    at: int
    address: str
