"""Rules of tenancy, pure: what a tenant may be called and how much it may ask for."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from appliance.core.errors import UsageError

MAX_WEIGHT: Final = 1000
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
MAX_ORGANISATION: Final = 200
MAX_POSTAL: Final = 500
MAX_LINK: Final = 500
_LINK: Final = re.compile(
    r"[!#-;=?-\[\]_a-z~]+", re.IGNORECASE
)  # signs that an address has (RFC 3986)
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


def checked_organisation(name: str) -> str:
    """The full name, on one line."""
    words = " ".join(name.split())
    if not words:
        raise UsageError("give the full name of the organisation", field="organisation")
    if len(words) > MAX_ORGANISATION or not words.isprintable():
        raise UsageError(f"at most {MAX_ORGANISATION} plain characters", field="organisation")
    return words


def checked_country(code: str) -> str:
    """Two letters."""
    wanted = code.strip().upper()
    if not _COUNTRY.fullmatch(wanted):
        raise UsageError("give the country by its two letters, as in DE or US", field="country")
    return wanted


def checked_postal_address(address: str) -> str:
    """Lines without blanks around them."""
    lines = [line.strip() for line in address.splitlines() if line.strip()]
    if not lines:
        raise UsageError(
            "give the postal address: the law asks for it in bulk mail", field="postal_address"
        )
    whole = "\n".join(lines)
    if len(whole) > MAX_POSTAL or not all(line.isprintable() for line in lines):
        raise UsageError(f"at most {MAX_POSTAL} plain characters", field="postal_address")
    return whole


def checked_link(url: str, field: str) -> str:
    """An https address of a page, "" for none: strangers follow it from a page of the box."""
    wanted = url.strip()
    if not wanted:
        return ""
    try:
        parts = urlsplit(wanted)
        is_good = parts.scheme == "https" and "." in (parts.hostname or "")
        is_good = is_good and not parts.username and parts.port in (None, 443)
    except ValueError:
        is_good = False
    if not is_good or not _LINK.fullmatch(wanted) or len(wanted) > MAX_LINK:
        raise UsageError(
            "give the page's whole address, as in https://example.com/privacy", field=field
        )
    return wanted


def checked_reason(reason: str) -> str:
    """Words for the person who will ask why."""
    words = " ".join(reason.split())
    if not words:
        raise UsageError("say why: whoever finds this later will ask")
    return words[:500]
