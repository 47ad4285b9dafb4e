"""Rates: how often somebody may ask, as a generic cell rate algorithm (GCRA, ITU-T I.371 annex A).

Each (who, what) has one number, the theoretical arrival time: a request fits when it does not lie further
ahead than the burst allows. One dictionary look-up a request, bounded memory, nothing is stored.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST: Final = 50_000  # of whom it is remembered; whoever was seen longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and so many at once."""

    per_second: float
    burst: int
    name: str = ""  # under which the configuration may say another

    def times(self, factor: int) -> Rate:
        """So many times as much, whatever the configuration says."""
        return Rate(self.per_second * factor, self.burst * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a request hears of its rate (draft-ietf-httpapi-ratelimit-headers)."""

    is_allowed: bool
    limit: int
    remaining: int
    reset: int  # seconds until all of the burst is there again; refused: until one request fits


class Rates:
    """Who asked when."""

    def __init__(
        self, now: Callable[[], float] = monotonic, configured: Iterable[Rate] = ()
    ) -> None:
        self._now = now
        self._configured = {rate.name: rate for rate in configured}
        self._arrival: OrderedDict[tuple[str, str], float] = OrderedDict()

    def of(self, rate: Rate) -> Rate:
        """The rate as configured."""
        return self._configured.get(rate.name, rate)

    def take(self, who: str, what: str, rate: Rate, amount: int = 1) -> Verdict:
        """Ask for `amount`; nothing is spent when it is refused."""
        rate = self.of(rate)
        now, cost, span = self._now(), amount / rate.per_second, rate.burst / rate.per_second
        arrival = max(self._arrival.get((who, what), 0.0), now)
        ahead = arrival + cost - now
        if ahead > span + 1e-9:
            wait = min(ahead, span + cost) - span
            left = int((span - (arrival - now)) * rate.per_second)
            return Verdict(
                is_allowed=False,
                limit=rate.burst,
                remaining=max(0, left),
                reset=max(1, math.ceil(wait)),
            )
        self._arrival[who, what] = arrival + cost
        self._arrival.move_to_end((who, what))
        if len(self._arrival) > _MOST:
            self._arrival.popitem(last=False)
        left = int((span - ahead) * rate.per_second + 1e-9)
        return Verdict(is_allowed=True, limit=rate.burst, remaining=left, reset=math.ceil(ahead))
