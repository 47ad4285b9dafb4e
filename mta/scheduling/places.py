"""Places: who may have a connection. Limits of the process, of a zone and of a site, and their paces.

A lane that may not open one waits: for its time (a timer), or for a place that another lane gives up.
A connection without work is closed as soon as somebody else could use its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.scheduling.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mta.scheduling.flow import Flow
    from mta.scheduling.lane import Lane
    from mta.scheduling.share import Share

PATIENCE: Final = 2 * clock.SECOND
"""A connection is kept open this long for its flow's next turn; after that it is opened anew."""

_SOON: Final = 0.01
"""Seconds; no timer is shorter, and for less none is set anew."""


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
        self._line = Line()  # lanes that wait for a place
        self._idlers: dict[Lane, None] = {}  # lanes with a connection that waits for work

    def take(self, lane: Lane) -> bool:
        """Take a place for the lane; False when there is none now: it is kicked when there may be."""
        now = clock.now_ms()
        if not self._has_room(lane, now):
            return False
        flow = lane.flow
        turn = flow.sends_at(now)
        at = max(flow.connects_at(lane.site, now), turn - PATIENCE)
        if at > now:
            self.later(lane, at, now)
            return False
        if turn > now:
            if (
                flow.next is not None
            ):  # ten thousand sites of a slow zone need one connection a turn
                flow.hungry.join(lane, self._kick)
                return False
            flow.next = lane
        flow.connected(lane.site, now)
        lane.connections += 1
        self.taken += 1
        return True

    def turned(self, lane: Lane) -> None:
        """The turn that a connection was opened for has come: another lane may get ready."""
        if lane.flow.next is lane:
            lane.flow.next = None
            lane.flow.hungry.feed()

    def release(self, lane: Lane) -> None:
        """A connection of the lane ends."""
        if lane.flow.next is lane:
            lane.flow.next = None
        lane.flow.disconnected(lane.site)
        lane.connections -= 1
        self.taken -= 1

    def hand_on(self, lane: Lane) -> None:
        """Let those have the place who waited for it."""
        self._line.feed()
        lane.flow.hungry.feed()

    def wanted_by_others(self, lane: Lane) -> bool:
        """Whether another lane waits for the place that a connection of this one has."""
        return bool(self._line or lane.flow.hungry)

    @property
    def wanted_urgently(self) -> bool:
        """Whether no place is left for a lane with urgent mail."""
        return self._line.urgent > 0

    def later(self, lane: Lane, at: int, now: int) -> None:
        """Look at the lane again at a time; sooner than was meant before, when a limit was lifted since."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(_SOON, (at - now) / 1000)
        if lane.timer is not None:
            if lane.timer.when() <= when + _SOON:
                return
            lane.timer.cancel()
        lane.timer = loop.call_at(when, self._again, lane)

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
        if not lane.flow.room_at_site(lane.site, now):
            if not lane.connections:  # another process's turn, or another lane's to the same hosts
                self.later(lane, self._share.next_turn(now), now)
                self._starve(lane)
            return False
        if not lane.flow.room_in_zone(now):
            if not lane.flow.connections:
                self.later(lane, self._share.next_turn(now), now)
            self._starve(lane)
            return False
        if self.taken >= self._most:
            self._line.join(lane, self._kick)
            self._dismiss(None)
            return False
        return True

    def _starve(self, lane: Lane) -> None:
        """Let the lane wait for others of its flow."""
        lane.flow.hungry.join(lane, self._kick)
        self._dismiss(lane.flow)

    def _dismiss(self, flow: Flow | None) -> None:
        """Let a connection without work, of the flow if one is named, give its place up."""
        for other in list(self._idlers):
            if flow is None or other.flow is flow:
                dismissed = other.dismiss_idle()
                if not other.idles:
                    del self._idlers[other]
                if dismissed:
                    return
