"""Pulse: looks for what changed on the box, for all who watch at once (admin_ui.desks.LiveDesk).

    control.db    counters and the marks of the rooms: one statement a look (appliance/core/marks.py)
    event log     what it took in since the last look, at most MOST_EVENTS of it
    processes     once a second, only while somebody watches who sees the whole box

Looks every PAUSE seconds while somebody watches, and not at all when nobody does. What is known stays known
meanwhile, so the next who comes is told of what changed in between, and before anything is told to them, it
has been looked at. A log that cannot be read costs the topics of mail alone; it is tried again at each look.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from admin_ui.desks import Topic
from appliance import (
    blocklists,
    credentials,
    domains,
    jobs,
    notices,
    notifications,
    tenancy,
    webhooks,
)
from appliance.core import clock, control, marks, tasks
from appliance.core.control import Part
from appliance.core.database import reading
from appliance.core.errors import StoreError
from appliance.core.scope import BOX
from appliance.history import Fresh
from appliance.run.topics import joined, of_log, of_marks, of_suppressions
from appliance.run.watches import Watches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.marks import Mark
    from appliance.core.scope import Scope
    from appliance.history import FreshEvents
    from appliance.run.loops import Loops
    from appliance.run.topics import Told
    from appliance.run.watches import OneWatch
    from appliance.suppressions import SuppressionList

    Look = dict[str, frozenset[Mark]]
    Health = Callable[[], Awaitable[dict[str, dict[str, Any]]]]

PAUSE: Final = 0.25
_HEALTH_PAUSE: Final = 1.0
MOST_EVENTS: Final = 2000  # a look; more concern everybody
MOST_SUPPRESSIONS: Final = 2000
MARKS: Final = (
    *control.MARKS,
    *credentials.MARKS,
    *domains.MARKS,
    *jobs.MARKS,
    *notices.MARKS,
    *notifications.MARKS,
    *tenancy.MARKS,
    *webhooks.MARKS,
    *blocklists.MARKS,
)
_log = logging.getLogger(__name__)


class Pulse:
    """The one who looks."""

    def __init__(
        self,
        engine: AsyncEngine,
        suppressions: SuppressionList,
        events: FreshEvents,
        health: Health | None = None,
    ) -> None:
        self._engine, self._suppressions, self._events = engine, suppressions, events
        self._health = health
        self._statement = marks.together(MARKS, engine.dialect)
        self._watches = Watches()
        self._turn = asyncio.Lock()
        self._seen: Look = {}
        self._place: int | None = None  # in the log's journal; None = it could not be read yet
        self._is_log_bad = False
        self._looked_at = 0.0
        self._services: object = None
        self._ending: asyncio.Task[None] | None = None

    # -- whoever watches -------------------------------------------------------

    def now(self) -> str:
        """The mark of what is known at this moment."""
        return self._watches.mark_of(self._watches.changes.last)

    @asynccontextmanager
    async def watch(self, scope: Scope, since: str = "") -> AsyncIterator[OneWatch]:
        """Watch for a scope. Raises StoreError."""
        async with self._turn:
            if not self._seen or clock.monotonic() - self._looked_at > 2 * PAUSE:
                await self._look()
        watch = self._watches.open(scope.tenant_id, since)
        try:
            yield watch
        finally:
            self._watches.leave(watch)

    # -- the web process -------------------------------------------------------

    def start(self, loops: Loops, stop: asyncio.Event) -> None:
        """Look from now on; at `stop` all who watch hear that it is over."""
        self._ending = tasks.spawn(self._end(stop), name="end of the live streams")
        loops.start("live", self.step, pause=PAUSE, limit=60)
        if self._health is not None:
            loops.start("services", self.look_at_services, pause=_HEALTH_PAUSE, limit=60)

    async def step(self) -> bool:
        """One look, if anybody watches."""
        if self._watches.number:
            async with self._turn:
                await self._look()
        return False

    async def look_at_services(self) -> bool:
        """Whether a process came, went, or is not well any more."""
        if self._health is None or not self._watches.has_system:
            return False
        found = {name: _state_of(report) for name, report in (await self._health()).items()}
        if self._services not in (None, found):
            self._watches.note({BOX: {Topic.SERVICES}})
        self._services = found
        return False

    async def close(self) -> None:
        """Nothing will come any more."""
        self._watches.close()
        if self._ending is not None:
            self._ending.cancel()
        await asyncio.to_thread(self._events.close)

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._watches.close()

    # -- a look ----------------------------------------------------------------

    async def _look(self) -> None:
        async with reading(self._engine) as connection:
            now = await marks.look(connection, self._statement)
        suppressed = await self._suppressed(self._seen, now) if self._seen else {}
        fresh = await self._mail()
        # Nothing was taken for seen until here: a look that is broken off leaves nothing untold.
        before, self._seen, self._looked_at = self._seen, now, clock.monotonic()
        self._place = fresh.place if fresh else self._place
        if not before:
            self._watches.changes.begin()
            return
        moved = of_marks(marks.moved(MARKS, before, now))
        self._watches.note(joined(moved, suppressed, of_log(fresh) if fresh else {}))

    async def _suppressed(self, before: Look, now: Look) -> Told:
        """The counter says that some changed, the list whose."""
        known, newest = _generation(before, Part.SUPPRESSIONS), _generation(now, Part.SUPPRESSIONS)
        if known == newest:
            return {}
        return of_suppressions(await self._suppressions.touched(known, MOST_SUPPRESSIONS))

    async def _mail(self) -> Fresh | None:
        """What the log took in; None when it cannot be read."""
        try:
            fresh = await asyncio.to_thread(self._behind)
        except StoreError as error:
            if not self._is_log_bad:
                _log.warning("nobody hears of new events: %s", error)
            self._is_log_bad = True
            return None
        self._is_log_bad = False
        return fresh

    def _behind(self) -> Fresh:
        if self._place is None:
            return Fresh(self._events.end(), {})
        return self._events.behind(self._place, MOST_EVENTS)


def _generation(look: Look, part: Part) -> int:
    found = look.get("generation", frozenset())
    return next((mark.number for mark in found if mark.word == part.value), 0)


def _state_of(report: dict[str, Any]) -> object:
    """What of a report is news when it differs; ages and times in words are not."""
    checks = report.get("checks", {})
    bad = sorted(name for name, check in checks.items() if not check.get("ok"))
    return report.get("ok"), report.get("pid"), bad
