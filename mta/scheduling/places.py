"""Places: who may have a connection. Limits of the process, of a zone and of a site, and their paces.

A lane that may not open one waits: for its time (a timer), or for a place that another lane gives up.
A connection without work is closed as soon as somebody else could use its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mta.scheduling.lane import Lane
    from mta.scheduling.share import Share

PATIENCE: Final = 2 * clock.SECOND
"""A connection is kept open this long for its flow's next turn; after that it is opened anew."""


class Places:
    """The connections of one sender, counted."""

    def __init__(
        self,
        most: int,
        share: Share,
        kick: Callable[[Lane], bool],
        rouse: Callable[[Lane], None],
    ) -> None:
        self._most, self._share, self._kick, self._rouse = most, share, kick, rouse
        self.taken = 0
        self._hungry: dict[Lane, None] = {}  # lanes that wait for a place, in order
        self._idlers: dict[Lane, None] = {}  # lanes with a connection that waits for work

    def take(self, lane: Lane) -> bool:
        """Take a place for the lane; False when there is none now: it is kicked when there may be."""
        now = clock.now_ms()
        if not self._has_room(lane, now):
            return False
        at = max(lane.flow.connects_at(now), lane.flow.sends_at(now) - PATIENCE)
        if at > now:
            self.later(lane, at, now)
            return False
        lane.flow.connected(now)
        lane.connections += 1
        lane.flow.connections += 1
        self.taken += 1
        return True

    def release(self, lane: Lane) -> None:
        """A connection of the lane ends."""
        lane.connections -= 1
        lane.flow.connections -= 1
        self.taken -= 1

    def hand_on(self, lane: Lane) -> None:
        """Let those have the place who waited for it."""
        self._feed(self._hungry)
        self._feed(lane.flow.hungry)

    def wanted_by_others(self, lane: Lane) -> bool:
        """Whether another lane waits for the place that a connection of this one has."""
        return bool(self._hungry or lane.flow.hungry)

    def later(self, lane: Lane, at: int, now: int) -> None:
        """Look at the lane again at a time."""
        if lane.timer is None:
            loop = asyncio.get_running_loop()
            lane.timer = loop.call_later(max(0.01, (at - now) / 1000), self._again, lane)

    @contextlib.contextmanager
    def idling(self, lane: Lane) -> Iterator[None]:
        """While a connection waits for work, it may be asked to end."""
        self._idlers[lane] = None
        try:
            yield
        finally:
            if not lane.idles:
                self._idlers.pop(lane, None)

    def _again(self, lane: Lane) -> None:
        lane.timer = None
        self._rouse(lane)

    def _has_room(self, lane: Lane, now: int) -> bool:
        if not lane.flow.room_at_site(lane.connections, now):
            if not lane.connections:  # another process's turn
                self.later(lane, self._share.next_turn(now), now)
            return False
        if not lane.flow.room_in_zone(now):
            if not lane.flow.connections:
                self.later(lane, self._share.next_turn(now), now)
            self._starve(lane, lane.flow.hungry)
            return False
        if self.taken >= self._most:
            self._starve(lane, self._hungry)
            return False
        return True

    def _starve(self, lane: Lane, hungry: dict[Lane, None]) -> None:
        """Let the lane wait, and a connection without work give its place up."""
        hungry.setdefault(lane)
        for other in list(self._idlers):
            if hungry is self._hungry or other.flow is lane.flow:
                del self._idlers[other]
                if other.dismiss_idle():
                    return

    def _feed(self, hungry: dict[Lane, None]) -> None:
        for lane in list(hungry):
            del hungry[lane]
            if not self._kick(lane) and lane in hungry:
                return  # it still finds no place: nor would those behind it
