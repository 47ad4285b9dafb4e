"""Mailbox: an address as far as a stranger can tell two of them apart; pure.

Letter case is not told apart, like in the suppression list; the domain stands as A-labels. What a stranger
wrote is read once and remembered, also that it is no domain: IDNA takes a millisecond, and one notice may
name a thousand.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mta.policy.address import MAX_DOMAIN, ascii_domain
from mta.policy.refusal import Refused

Mailbox = tuple[str, str]
_REMEMBERED: Final = 4096  # two for each recipient of the longest report; short ones only


def mailbox_of(address: str) -> Mailbox:
    """What two ways of writing one address have in common. Never raises."""
    local, _, domain = address.strip().rpartition("@")
    domain = domain.rstrip(".")
    is_cheap = domain.isascii() or len(domain) > MAX_DOMAIN
    return local.lower(), _ascii(domain) if is_cheap else _ascii_remembered(domain)


def _ascii(domain: str) -> str:
    try:
        return ascii_domain(domain)
    except Refused:
        return domain.lower()


_ascii_remembered = lru_cache(maxsize=_REMEMBERED)(_ascii)
