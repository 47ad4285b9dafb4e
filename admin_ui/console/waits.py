"""Waits: how much waits while all sending is stopped, and how fast it grows; for the banner of every page.

The processes are asked at most every two seconds, however many pages are made; silence is told as None.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import PillarboxError
from appliance.core.scope import Scope
from mta.scheduling.census import By

if TYPE_CHECKING:
    from admin_ui.rooms import Rooms

_FRESH: Final = 2.0  # seconds
_SYSTEM: Final = Scope.system(by="console")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waits."""

    count: int
    growth: float  # a second


class WaitsNow:
    """The last answer, for a while."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._found: Waits | None = None
        self._at = -_FRESH

    async def now(self, rooms: Rooms) -> Waits | None:
        """As of the last two seconds; None when a process is silent."""
        async with self._lock:
            if clock.monotonic() - self._at >= _FRESH:
                self._found = await _ask(rooms)
                self._at = clock.monotonic()
            return self._found


async def _ask(rooms: Rooms) -> Waits | None:
    try:
        found, live = await asyncio.gather(
            rooms.queue.summary(_SYSTEM, By.DOMAIN, 1), rooms.queue.live(_SYSTEM)
        )
    except PillarboxError:
        return None
    growth = live["accepted_per_s"] - live["leaving_per_s"]
    return Waits(count=sum(found["counts"].values()), growth=growth)
