"""Remembers which host addresses just failed, so that others are tried first.

Nothing is forbidden: an address in its waiting time moves to the end of the list. The time doubles
with each failure in a row from 60 s to 15 min, and a success forgets everything. Shared inside one
process; bounded: the oldest entries are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST_WAIT: Final = 60.0
LONGEST_WAIT: Final = 900.0
_MAX_HOSTS: Final = 10_000
Place = tuple[str, int]  # address and port
Named = tuple[str, str]  # host name and address


class HostMemory:
    """One per process."""

    def __init__(self, *, now: Callable[[], float] = clock.monotonic) -> None:
        self._now = now
        self._bad: OrderedDict[Place, tuple[int, float]] = OrderedDict()  # failures, until

    def failed(self, place: Place) -> None:
        """The address took no connection, or greeted with a refusal."""
        failures = self._bad.pop(place, (0, 0.0))[0] + 1
        wait = min(FIRST_WAIT * 2.0 ** min(failures - 1, 10), LONGEST_WAIT)
        self._bad[place] = (failures, self._now() + wait)
        if len(self._bad) > _MAX_HOSTS:
            self._bad.popitem(last=False)

    def worked(self, place: Place) -> None:
        """The address is fine."""
        if self._bad:
            self._bad.pop(place, None)

    def is_bad(self, place: Place) -> bool:
        """Whether it failed just now."""
        entry = self._bad.get(place)
        return entry is not None and self._now() < entry[1]

    def good_first(self, hosts: Sequence[Named], port: int) -> list[Named]:
        """The same addresses in the same order, bad ones last."""
        if not self._bad:
            return list(hosts)
        return sorted(hosts, key=lambda named: self.is_bad((named[1], port)))
