"""Line: lanes that wait for something of the process, in fair order of what each would send first.

A lane stands there once. When something urgent comes to a lane whose place is among the bulk, it moves
forward; so a receipt passes ten thousand lanes of somebody else's newsletter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.scheduling.fair import FairQueue
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.scheduling.lane import Lane

    Kick = Callable[[Lane], bool]
    """Looks at a lane again; whether it got what it waited for."""


class Line:
    """Who waits, and whether for urgent mail."""

    def __init__(self) -> None:
        self._queue: FairQueue[Lane] = (
            FairQueue()
        )  # may hold a lane once more, where it stood before
        self._standing: dict[Lane, tuple[bool, Kick]] = {}  # and whether urgent
        self.urgent = 0

    def __len__(self) -> int:
        return len(self._standing)

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._standing

    def join(self, lane: Lane, kick: Kick) -> None:
        """Wait to be kicked; again, to move forward when what is first by now is urgent."""
        tenant_id, kind, weight = lane.next_for
        is_urgent = kind is TrafficClass.TRANSACTIONAL
        if lane in self._standing and (self._standing[lane][0] or not is_urgent):
            return
        self._standing[lane] = is_urgent, kick
        self.urgent += is_urgent
        self._queue.push(lane, tenant_id, kind, weight)

    def pop(self) -> tuple[Lane, Kick] | None:
        """Whose turn it is; None when nobody waits."""
        while (lane := self._queue.pop()) is not None:
            if lane in self._standing:
                was_urgent, kick = self._standing.pop(lane)
                self.urgent -= was_urgent
                return lane, kick
        return None

    def feed(self) -> None:
        """Kick one after the other, until one finds nothing and waits on: nor would those behind it."""
        while (found := self.pop()) is not None:
            lane, kick = found
            if not kick(lane) and lane in self:
                return
