"""Values of people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from appliance.rights import Actor, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What somebody is to a tenant."""

    tenant_id: int
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person as a scope sees them: a tenant sees its own membership and no other."""

    id: int
    email: str
    name: str
    box_role: Role | None  # a tenant is never told
    memberships: tuple[Membership, ...]
    created_at: int
    disabled_at: int  # 0 = may sign in
    signed_in_at: int
    has_password: bool
    has_second_factor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleCounts:
    """How many people there are."""

    whole: int
    disabled: int
    password_alone: int  # neither a second factor nor a passkey stands beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Where a request comes from: what slow-down counts and a list of sessions shows."""

    address: str
    agent: str = ""
    token: str = ""  # the session it came with, which a new sign-in ends


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session, for the list of one's own."""

    id: int
    tenant_id: int  # whose view it is in; 0 = the whole box
    created_at: int
    seen_at: int
    expires_at: int
    address: str
    agent: str
    is_this: bool  # the one that asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that has just begun. The token goes into a cookie and is never shown again."""

    token: str
    csrf: str  # what every request that changes something must bring along
    expires_at: int
    tenant_id: int  # whose view it is in; 0 = the whole box


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Who a session belongs to, at one request."""

    actor: Actor
    session_id: int
    person_id: int
    tenant_id: int  # whose view it is in; 0 = the whole box
    is_visiting: bool  # somebody of the box in a tenant's view
    csrf: str
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorNeeded:
    """The password was right; `ticket` and a code of the second factor open the session."""

    ticket: str
    expires_at: int


SignedIn = Opened | SecondFactorNeeded


class LinkKind(StrEnum):
    """What a one-time link is for."""

    INVITATION = "invitation"  # become a member of a tenant, or of the box's staff
    PASSWORD = "password"  # noqa: S105 - choose a new one
    FIRST_ADMIN = "first-admin"  # become the first admin of the box


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Somebody who was asked in and has not come yet."""

    id: int
    tenant_id: int  # 0 = the box itself
    email: str
    role: Role
    by: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecondFactor:
    """A second factor that waits to be proved by its first code."""

    ticket: str
    secret: str  # base32, for those who type it in
    uri: str  # otpauth://, for a QR code


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRecord:
    """A passkey of somebody."""

    id: int
    name: str
    created_at: int
    used_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyOptions:
    """What a browser needs to make or to use a passkey; the ticket comes back with its answer."""

    ticket: str
    options: Mapping[str, Any]  # PublicKeyCredentialCreationOptions or ...RequestOptions, as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where a browser is sent to sign in elsewhere; the ticket goes into a cookie of it."""

    url: str
    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID Connect issuer that people may sign in with."""

    name: str  # stands in URLs: "google"
    issuer: str
    client_id: str
    client_secret: str
    trusts_email: bool = False  # its addresses count as verified without its saying so


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How people sign in to this box."""

    public_url: str  # without a slash at the end: https://mail.example.org
    box_name: str
    session_idle: int  # ms
    session_life: int  # ms
    providers: tuple[Provider, ...] = ()
