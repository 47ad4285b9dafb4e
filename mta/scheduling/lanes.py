"""Lanes: the lanes of a shard by (egress, site); made when mail goes there, forgotten when they are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from mta.scheduling.lane import LANE_LEAST, LANE_SHARE, Lane
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mta.message import Egress
    from mta.scheduling.lane import Whose
    from mta.scheduling.regulator import Regulator
    from mta.scheduling.window import Window
    from mta.spool.store import QueueKey
    from mta.transport.base import Site


class Lanes:
    """Mutable on purpose: the ready work of a shard."""

    def __init__(
        self, regulator: Regulator, window: Window, weight_of: Callable[[int], int]
    ) -> None:
        self._regulator, self._window, self._weight_of = regulator, window, weight_of
        self._lanes: dict[tuple[str, str], Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        """A copy: lanes come and go meanwhile."""
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)

    def of(self, egress: Egress, site: Site) -> Lane:
        """The lane of an egress to a site."""
        lane = self._lanes.get((egress.name, site.key))
        if lane is None:
            flow = self._regulator.flow(egress.name, self._regulator.zone_of(site))
            lane = self._lanes[egress.name, site.key] = Lane(egress, site, flow, self._weight_of)
        lane.site = site  # a lane with work lives on: new connections need the newest DNS and TLSA
        return lane

    def is_full(self, egress: str, site_key: str, key: QueueKey) -> bool:
        """Whether a lane takes no more; it will say when it does again."""
        lane = self._lanes.get((egress, site_key))
        room = self._window.room
        if lane is None or len(lane) < min(LANE_LEAST, 2 * room // LANE_SHARE):
            return False
        whose = key.tenant_id, TrafficClass(key.traffic_class)
        if not lane.is_full(room, whose):
            return False
        lane.keeps_back.add(whose)
        return True

    def room_again(self, lane: Lane) -> list[Whose]:
        """Whose mail a lane kept back and need not any more; said once."""
        room = self._window.room // 2
        found = [whose for whose in lane.keeps_back if not lane.is_full(room, whose)]
        lane.keeps_back.difference_update(found)
        return found

    def forget_empty(self, lane: Lane) -> None:
        """Let a lane go that has neither work nor connections."""
        if lane.is_empty:
            self._remove(lane)

    def retire(self, lane: Lane) -> None:
        """The egress is gone or another now: the lane's connections end with what they are at."""
        lane.is_retired = True
        self._remove(lane)

    def _remove(self, lane: Lane) -> None:
        """Once: a lane that is retired already, or again, may have a successor."""
        place = (lane.egress.name, lane.site.key)
        if self._lanes.get(place) is not lane:
            return
        del self._lanes[place]
        lane.flow.lanes -= 1
        self._regulator.forget(lane.flow, clock.now_ms())
