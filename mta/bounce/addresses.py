"""Addresses that the box itself answers to, and what each is for; pure.

    b.../u...@<bounce domain>              signed tokens (return_path.py): bounces, unsubscriptions
    fbl@, complaints@<bounce domain>       complaints, as registered with feedback loops
    postmaster@, abuse@<own name>          to the box's admin; `postmaster` alone too (RFC 5321 4.5.1)

Raises Refused for everything else: 550 5.1.1 where the domain is ours, 550 5.7.1 where it is not (a relay
attempt). A forged token reads like an unknown user: whoever guesses learns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mta.bounce import return_path
from mta.bounce.return_path import ExpiredReturnPath, ForgedReturnPath, ReturnPathError, TokenKind
from mta.policy.quoting import shown
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from mta.bounce.return_path import ReturnPath, ReturnPathKeys
    from mta.directory import Directory

_ADMIN: Final = frozenset({"postmaster", "abuse"})  # RFC 2142
_COMPLAINTS: Final = frozenset({"fbl", "complaints"})
_UNKNOWN: Final = "there is no such address here"


class Purpose(StrEnum):
    """What mail to an address is."""

    BOUNCE = "bounce"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    POSTMASTER = "postmaster"


class Why(StrEnum):
    """Why an address is refused; counted under these words."""

    FOREIGN = "relay"
    UNKNOWN = "unknown_address"
    FORGED = "forged"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAddress:
    """An address of ours; `token` for those that carry one."""

    purpose: Purpose
    token: ReturnPath | None = None


class NotOurs(Refused):
    """The address is refused; `why` is for counting."""

    def __init__(self, why: Why, enhanced: str, text: str, *, log: str = "") -> None:
        super().__init__(550, enhanced, text, log=log)
        self.why = why


def own_address(
    address: str, directory: Directory, keys: ReturnPathKeys, now_ms: int
) -> OwnAddress:
    """What the address is for. Raises NotOurs.

    A bounce address that was signed here is ours whatever its domain: that may be so new that this process
    has not heard of it yet, or given up since.
    """
    local, _, domain = address.rpartition("@")
    domain = domain.rstrip(".").lower()
    if not local and domain == "postmaster":
        return OwnAddress(purpose=Purpose.POSTMASTER)
    is_bounce_domain = domain in directory.bounce_domains
    if not local or not (is_bounce_domain or domain in directory.own_names):
        token = bounce_token(address, keys, now_ms)
        if token is not None:
            return OwnAddress(purpose=Purpose.BOUNCE, token=token)
        raise NotOurs(
            Why.FOREIGN,
            "5.7.1",
            "relaying is not allowed here: this address belongs to another mail system",
            log=f"relay attempt to {shown(address)}",
        )
    if not is_bounce_domain and local.lower() not in _ADMIN:
        raise NotOurs(Why.UNKNOWN, "5.1.1", _UNKNOWN)
    return taken_address(address, keys, now_ms)


def taken_address(address: str, keys: ReturnPathKeys, now_ms: int) -> OwnAddress:
    """As own_address, for one that was let in: its domain may have been given up since."""
    local = address.rpartition("@")[0].lower()
    if local in _ADMIN or not local:
        return OwnAddress(purpose=Purpose.POSTMASTER)
    if local in _COMPLAINTS:
        return OwnAddress(purpose=Purpose.COMPLAINT)
    token = _token(local, keys, now_ms)
    is_bounce = token.kind is TokenKind.BOUNCE
    return OwnAddress(purpose=Purpose.BOUNCE if is_bounce else Purpose.UNSUBSCRIBE, token=token)


def bounce_token(address: str, keys: ReturnPathKeys, now_ms: int) -> ReturnPath | None:
    """The token in a return path that a report quotes; None when it is none of ours."""
    try:
        token = return_path.decode(keys, address.rpartition("@")[0], now_ms)
    except ReturnPathError:
        return None
    return token if token.kind is TokenKind.BOUNCE else None


def _token(local: str, keys: ReturnPathKeys, now_ms: int) -> ReturnPath:
    try:
        return return_path.decode(keys, local, now_ms)
    except ExpiredReturnPath as error:
        raise NotOurs(
            Why.EXPIRED, "5.7.1", "this return path has expired: it was valid for 30 days"
        ) from error
    except ForgedReturnPath as error:
        if not return_path.looks_like_token(local):
            raise NotOurs(Why.UNKNOWN, "5.1.1", _UNKNOWN) from error
        raise NotOurs(Why.FORGED, "5.1.1", _UNKNOWN, log=f"forged: {error}") from error
