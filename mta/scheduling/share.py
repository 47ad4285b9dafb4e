"""Share: what one of several mta processes may have of a limit that holds for the box; pure.

Connections are divided evenly; where there are fewer than processes, the processes take turns, so that
no shard is left without. Rates are divided by the number of processes. A process without mail for a
receiver leaves its part unused: the limits of receivers are not passed, at the price of some speed; only a
transaction that is under way when a turn ends is finished beside the next process's first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.core import clock

TURN: Final = 30 * clock.SECOND


@dataclass(frozen=True, slots=True)
class Share:
    """Process `index` of `count`."""

    index: int = 0
    count: int = 1

    def connections(self, limit: int, now: int) -> int:
        """How many of `limit` connections are this process's now; may be 0 until its turn."""
        if self.count == 1:
            return limit
        if limit >= self.count:
            return (limit + self.count - 1 - self.index) // self.count
        turn = (now // TURN + self.index) % self.count
        return 1 if turn < limit else 0

    def next_turn(self, now: int) -> int:
        """When the parts of scarce limits move on."""
        return (now // TURN + 1) * TURN

    @property
    def of_rates(self) -> float:
        """The factor for rates."""
        return 1 / self.count
