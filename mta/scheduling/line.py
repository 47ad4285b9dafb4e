"""Line: lanes that wait for something of the process, in fair order of what each would send first.

A lane stands there once. When something urgent comes to a lane whose place is among the bulk, it moves
forward; so a receipt passes ten thousand lanes of somebody else's newsletter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.scheduling.fair import FairQueue
from mta.status import TrafficClass

if TYPE_CHECKING:
    from mta.scheduling.lane import Lane


class Line:
    """Who waits, and whether for urgent mail."""

    def __init__(self) -> None:
        self._queue: FairQueue[Lane] = (
            FairQueue()
        )  # may hold a lane once more, where it stood before
        self._standing: dict[Lane, bool] = {}  # and whether urgent
        self.urgent = 0

    def __len__(self) -> int:
        return len(self._standing)

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._standing

    def join(self, lane: Lane) -> None:
        """Wait; again, to move forward when what is first by now is urgent."""
        tenant_id, kind, weight = lane.next_for
        is_urgent = kind is TrafficClass.TRANSACTIONAL
        if lane in self._standing and (self._standing[lane] or not is_urgent):
            return
        self._standing[lane] = is_urgent
        self.urgent += is_urgent
        self._queue.push(lane, tenant_id, kind, weight)

    def pop(self) -> Lane | None:
        """Whose turn it is; None when nobody waits."""
        while (lane := self._queue.pop()) is not None:
            if lane in self._standing:
                self.urgent -= self._standing.pop(lane)
                return lane
        return None
