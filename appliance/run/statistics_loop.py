"""Statistics loop: the worker counts what the log takes in, and makes all counts again when asked.

The tables are made at the first turn, not at the start: statistics that cannot be opened keep no event
from the log. All work is done in threads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.jobs import Order, Step
from appliance.statistics import Counter, Rebuild, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.core.database import Location
    from appliance.core.settings import Retention
    from appliance.history import LogReader
    from appliance.jobs import Job

KIND: Final = "statistics-rebuild"
PAUSE: Final = 2.0
_STEP_SECONDS: Final = 1.0
_WHOLE: Final = 100


def order() -> Order:
    """Count everything again that the log still has."""
    return Order(kind=KIND)


class StatisticsLoop:
    """Steps of the worker."""

    def __init__(
        self,
        location: Location,
        log: LogReader,
        retention: Retention,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._store, self._retention, self._now = Store(location, now), retention, now
        self._counter = Counter(self._store, log)
        self._rebuild = Rebuild(self._store, log)
        self._opening = asyncio.Lock()
        self._is_open = False
        self._tidied_on = 0

    async def step(self) -> bool:
        """Count a page of the log; True when there is more."""
        await self._open()
        return await asyncio.to_thread(self._counter.step)

    async def tidy(self) -> None:
        """Forget what is no longer kept: once a day, since every row is looked at for it."""
        today = self._now() // clock.DAY
        if today == self._tidied_on:
            return
        await self._open()
        await asyncio.to_thread(
            self._store.tidy,
            hours_days=self._retention.statistics_hours_days,
            days_days=self._retention.statistics_days,
        )
        self._tidied_on = today

    @property
    def rebuild(self) -> StatisticsRebuild:
        """How the job is done."""
        return StatisticsRebuild(self, self._rebuild)

    async def _open(self) -> None:
        async with self._opening:
            if not self._is_open:
                await asyncio.to_thread(self._store.open)
                self._is_open = True

    async def begin(self) -> int:
        """Begin to count again."""
        await self._open()
        return await asyncio.to_thread(self._rebuild.begin)

    async def close(self) -> None:
        """Let the tables go."""
        await asyncio.to_thread(self._store.close)


class StatisticsRebuild:
    """How all counts are made again (appliance.run.job_runner.Kind)."""

    def __init__(self, loop: StatisticsLoop, rebuild: Rebuild) -> None:
        self._loop, self._rebuild = loop, rebuild

    async def step(self, job: Job) -> Step:
        """A second's worth of events."""
        number = job.place.get("generation") or await self._loop.begin()
        place = {"generation": number}
        until = clock.monotonic() + _STEP_SECONDS
        while await asyncio.to_thread(self._rebuild.step, number):
            if clock.monotonic() >= until:
                share = await asyncio.to_thread(self._rebuild.progress, number, clock.now_ms())
                return Step(place=place, done=int(share * (_WHOLE - 1)), total=_WHOLE)
        return Step(place=place, done=_WHOLE, total=_WHOLE, result={})
