"""Lane: ready parcels for one (egress, site), and the connections that serve them.

Connections are kept while there is work and a little longer; a fresh parcel wakes one that idles,
else opens another up to the limit of the site. A lane knows nothing of the store or of outcomes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.message import ReturnPathMode
from mta.scheduling.fair import FairQueue
from mta.scheduling.parcel import MAX_RECIPIENTS
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.message import Egress
    from mta.scheduling.flow import Flow
    from mta.scheduling.parcel import Parcel
    from mta.shaping.model import Zone
    from mta.transport.base import Connection, Site

LANE_LIMIT = 1000
"""Parcels of a tenant and class that a lane holds at most; above that their keys are parked until it
drains. Each has its own limit: behind the bulk mail of one there is always room for others."""

LANE_LEAST = 20
"""Parcels of a tenant and class that a lane may always hold."""

Whose = tuple[int, TrafficClass]
"""Tenant and class."""

LANE_SHARE = 4
"""A lane may hold a quarter of the room that is left: many slow sites never take all of it
(dynamic thresholds for shared buffers: Choudhury & Hahne, 1998)."""


@dataclass(slots=True, eq=False)
class Hand:
    """What a task that serves a lane has in its hands, so that a crash of it loses nothing."""

    connection: Connection | None = None
    parcel: Parcel | None = None


class Lane:
    """Work for one site from one egress address."""

    def __init__(
        self, egress: Egress, site: Site, flow: Flow, weight_of: Callable[[int], int]
    ) -> None:
        self.egress, self.site, self.flow = egress, site, flow
        flow.lanes += 1
        self._weight_of = weight_of
        self._queue: FairQueue[Parcel] = FairQueue()
        self._shared: dict[int, Parcel] = {}  # by message: parcels that others may still join
        self._idle: list[asyncio.Future[bool]] = []
        self.connections = 0  # open or opening
        self.hands: set[Hand] = set()
        self.is_retired = False  # its egress is not what it was: it takes and gives nothing more
        self.keeps_back: set[Whose] = set()  # they wait until this lane has room for them
        self.timer: asyncio.TimerHandle | None = None  # when it may go on
        self.last_words = ""  # what the receiver said last, where that was not yes

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def zone(self) -> Zone:
        """What limits and throttles apply to."""
        return self.flow.zone

    def is_full(self, room: int, whose: Whose) -> bool:
        """Whether they should put in no more, when so many recipients have room in memory."""
        held = self._queue.count(*whose)
        if not held:
            return False
        share = room // LANE_SHARE
        if held >= LANE_LEAST and held >= min(LANE_LIMIT, share):
            return True
        # A hundred tenants with LANE_LEAST each, to a receiver that is mute: not all the room there is.
        return len(self._queue) >= 2 * share or held >= self.flow.reach

    @property
    def holds_own(self) -> bool:
        """Whether mail of the box itself is in it, which a stop of all sending lets go."""
        return any(self._queue.count(0, traffic_class) for traffic_class in TrafficClass)

    @property
    def is_live(self) -> bool:
        """Whether any connection has been made and stands."""
        return any(hand.connection is not None for hand in self.hands)

    @property
    def idles(self) -> int:
        """Connections that wait for work."""
        return len(self._idle)

    @property
    def is_empty(self) -> bool:
        """Neither work nor connections: it may be forgotten."""
        return not len(self._queue) and not self.connections

    def push(self, parcel: Parcel) -> Parcel:
        """Add work; returns the parcel that carries it: itself, or one of its message it joined."""
        if (other := self._join(parcel)) is not None:
            return other
        message = parcel.message
        self._queue.push(
            parcel, message.tenant_id, message.traffic_class, self._weight_of(message.tenant_id)
        )
        return parcel

    def put_back(self, parcel: Parcel) -> None:
        """Return a parcel that was popped and not sent to the front of its tenant's work."""
        self._queue.push_first(parcel, parcel.message.tenant_id, parcel.message.traffic_class)

    def wake_idle(self) -> bool:
        """Wake a connection that waits for work; False when there is none."""
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(True)
                return True
        return False

    def wake_all(self) -> None:
        """Wake every waiting connection, to look at the state of the world."""
        while self.wake_idle():
            pass

    def dismiss_idle(self) -> bool:
        """Let one connection that waits for work end; False when there is none."""
        while self._idle:
            waiter = self._idle.pop(0)
            if not waiter.done():
                waiter.set_result(False)
                return True
        return False

    @property
    def next_for(self) -> tuple[int, TrafficClass, int]:
        """Whose turn it is here: tenant, class and the tenant's share."""
        parcel = self._queue.first
        if parcel is None:
            return 0, TrafficClass.BULK, 1
        message = parcel.message
        return message.tenant_id, message.traffic_class, self._weight_of(message.tenant_id)

    def pop(self) -> Parcel | None:
        """The next parcel, by class and tenant."""
        parcel = self._queue.pop()
        if parcel is not None and self._shared.get(parcel.message.id) is parcel:
            del self._shared[parcel.message.id]
        return parcel

    async def work(self, idle_timeout: float) -> bool:
        """Wait until there may be work; False when the wait was in vain."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._idle.append(waiter)
        timer = loop.call_later(idle_timeout, _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            if waiter in self._idle:
                self._idle.remove(waiter)

    def take_where(self, unwanted: Callable[[Parcel], bool]) -> list[Parcel]:
        """Remove parcels that match."""
        taken = self._queue.take_where(unwanted)
        for parcel in taken:
            if self._shared.get(parcel.message.id) is parcel:
                del self._shared[parcel.message.id]
        return taken

    def take_all(self) -> list[Parcel]:
        """Empty the lane."""
        return self.take_where(lambda _: True)

    def _join(self, parcel: Parcel) -> Parcel | None:
        if parcel.message.return_path_mode is not ReturnPathMode.MESSAGE:
            return None
        other = self._shared.get(parcel.message.id)
        most = min(MAX_RECIPIENTS, self.zone.provider.limits.recipients_per_message)
        if other is None or len(other.recipients) + len(parcel.recipients) > most:
            self._shared[parcel.message.id] = parcel
            return None
        other.recipients.extend(parcel.recipients)
        return other


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
