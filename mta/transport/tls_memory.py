"""Remembers hosts whose STARTTLS is broken, so that mail for them goes in the clear at once.

Only opportunistic TLS asks it: what a policy demands is never given up. A host that failed the
handshake and then took mail in the clear is left in peace for an hour, doubling with each further
failure up to a day; the first handshake that works forgets everything. A rule of shaping may name a
host or address as well (`avoid`). Shared inside one process; bounded: the oldest entries are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_WAIT: Final = 3600.0
LONGEST_WAIT: Final = 86_400.0
_MAX_PLACES: Final = 10_000


class TlsMemory:
    """One per process. A place is a host name or an address."""

    def __init__(self, *, now: Callable[[], float] = clock.monotonic) -> None:
        self._now = now
        self._bad: OrderedDict[str, tuple[int, float]] = OrderedDict()  # failures, until

    def failed(self, place: str) -> None:
        """Its handshake failed, and nothing else did."""
        failures = self._bad.get(place, (0, 0.0))[0] + 1
        wait = min(FIRST_WAIT * 2.0 ** min(failures - 1, 10), LONGEST_WAIT)
        self._put(place, failures, wait)

    def avoid(self, place: str, seconds: float) -> None:
        """No STARTTLS with it for so long."""
        self._put(place, self._bad.get(place, (0, 0.0))[0], seconds)

    def worked(self, *places: str) -> None:
        """Its TLS is fine."""
        if self._bad:
            for place in places:
                self._bad.pop(place, None)

    def is_avoided(self, *places: str) -> bool:
        """Whether any of them is to be left in peace."""
        if not self._bad:
            return False
        now = self._now()
        return any(now < self._bad.get(place, (0, 0.0))[1] for place in places)

    def _put(self, place: str, failures: int, wait: float) -> None:
        _, until = self._bad.pop(place, (0, 0.0))
        self._bad[place] = (failures, max(until, self._now() + wait))
        if len(self._bad) > _MAX_PLACES:
            self._bad.popitem(last=False)
