"""Matcher: who must not be written to, in memory; implements mta.directory.Suppressions.

Each suppression is one 64-bit keyed hash and one expiry, 12 bytes, in sorted arrays cut into 4096
segments by the hash's top bits. A look-up is one or two hashes and a binary search in a segment of
a few hundred; an insertion moves a few hundred bytes, so changes need no structure of their own.
Measured: 1,000,000 entries take 13 MB and a look-up that finds nothing 2.6 us.

The key is made by the process and never leaves it: nobody can construct an address that collides
with another's. Two honest addresses collide with probability n / 2^64. Not for several threads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable

_SEGMENT_BITS: Final = 12
_SHIFT: Final = 64 - _SEGMENT_BITS
_MASK: Final = (1 << 64) - 1
_NEVER: Final = (1 << 32) - 1  # as an expiry in seconds: the year 2106
_GOLDEN: Final = 0x9E3779B97F4A7C15  # odd: multiplying by it spreads tenant ids over 64 bits


class Matcher:
    """A set of suppressed targets. `generation` is the newest change it holds, -1 before any."""

    def __init__(self, key: bytes, now: Callable[[], int] = clock.now_ms) -> None:
        self.generation = -1
        self._now = now
        self._hash_of = _keyed(key)
        # Mail goes to few domains: remembering their hashes saves half the cost of a look-up.
        self._domain_hash = lru_cache(maxsize=4096)(self._hash_of)
        self._hashes = [array("Q") for _ in range(1 << _SEGMENT_BITS)]
        self._expiries = [array("I") for _ in range(1 << _SEGMENT_BITS)]

    def __len__(self) -> int:
        return sum(map(len, self._hashes))

    def match(self, tenant_id: int, address: str) -> bool:
        """Whether the tenant or the whole box suppresses the address or its domain."""
        lower = address.lower()
        own = self._hash_of(lower)
        domain = self._domain_hash(lower.rpartition("@")[2])
        mix = tenant_id * _GOLDEN & _MASK
        for value in (own ^ mix, domain ^ mix, own, domain):
            hashes = self._hashes[value >> _SHIFT]
            index = bisect_left(hashes, value)
            if index < len(hashes) and hashes[index] == value and self._lasts(value, index):
                return True
        return False

    def add(self, tenant_id: int, target: str, expires_at: int = 0) -> None:
        """Suppress a target in normal form, or change when its suppression ends."""
        value = self._value(tenant_id, target)
        hashes, expiries = self._segment(value)
        index = bisect_left(hashes, value)
        if index < len(hashes) and hashes[index] == value:
            expiries[index] = _seconds(expires_at)
        else:
            hashes.insert(index, value)
            expiries.insert(index, _seconds(expires_at))

    def discard(self, tenant_id: int, target: str) -> None:
        """Suppress it no longer; one that is not there is no error."""
        value = self._value(tenant_id, target)
        hashes, expiries = self._segment(value)
        index = bisect_left(hashes, value)
        if index < len(hashes) and hashes[index] == value:
            del hashes[index], expiries[index]

    def _value(self, tenant_id: int, target: str) -> int:
        return self._hash_of(target) ^ (tenant_id * _GOLDEN & _MASK)

    def _segment(self, value: int) -> tuple[array[int], array[int]]:
        number = value >> _SHIFT
        return self._hashes[number], self._expiries[number]

    def _lasts(self, value: int, index: int) -> bool:
        expiry = self._expiries[value >> _SHIFT][index]
        return expiry == _NEVER or expiry * clock.SECOND > self._now()


def _keyed(key: bytes) -> Callable[[str], int]:
    def hash_of(text: str) -> int:
        digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, key=key)
        return int.from_bytes(digest.digest(), "little")

    return hash_of


def _seconds(expires_at: int) -> int:
    """Rounded up, so that nothing ends before its time."""
    return min(-(-expires_at // clock.SECOND), _NEVER) if expires_at else _NEVER
