"""Rules of tenancy, pure: what a tenant may be called and how much it may ask for."""

from __future__ import annotations

import re
from typing import Final

from appliance.core.errors import UsageError

MAX_WEIGHT: Final = 1000
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RESERVED: Final = frozenset({"box", "system"})


def checked_name(name: str) -> str:
    """The name as it is stored; it stands in user names and metrics, so it is a plain word."""
    wanted = name.strip().lower()
    if not _SLUG.fullmatch(wanted):
        raise UsageError(
            f"{name!r} cannot name a tenant: use 1-63 letters, digits and inner hyphens, as in acme-mail"
        )
    if wanted in _RESERVED:
        raise UsageError(f"{wanted!r} means the box itself: choose another name")
    return wanted


def checked_weight(weight: int) -> int:
    """The share of the egress."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise UsageError(f"weight {weight} is not between 1 and {MAX_WEIGHT}")
    return weight


def checked_quota(recipients: int) -> int:
    """A limit of recipients, 0 for none."""
    if not 0 <= recipients <= 1_000_000_000:
        raise UsageError(f"{recipients} recipients: give a number from 0 (no limit) to 1000000000")
    return recipients


def checked_reason(reason: str) -> str:
    """Words for the person who will ask why."""
    words = " ".join(reason.split())
    if not words:
        raise UsageError("say why: whoever finds this later will ask")
    return words[:500]
