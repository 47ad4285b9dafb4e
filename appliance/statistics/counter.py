"""Counter: goes through the event log behind its cursor and counts; the worker's loop.

    state -> a page of the log -> rows (pure) -> counts and cursor in one transaction

Promises: each event counts once, however often a step is cut short; the same log gives the same
counts, however it was cut into pages. A cursor from before the oldest day that the log keeps goes on
at that day. Blocks: call it in a thread. Fails with StoreError, having counted nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import StoreError
from appliance.statistics.rules import Known, rows, tally

if TYPE_CHECKING:
    from appliance.history import LogReader
    from appliance.statistics.store import Generation, Store

BATCH: Final = 5000
_DAYS_KNOWN: Final = 4


class Counter:
    """Counts for one generation at a time."""

    def __init__(self, store: Store, log: LogReader, *, batch: int = 0) -> None:
        self._store, self._log, self._batch = store, log, batch or BATCH
        self._known, self._known_of = Known(), 0
        self._days: set[int] = set()

    def step(self) -> bool:
        """Count what came; True when there is more."""
        return self.advance(self._store.live())

    def advance(self, generation: Generation) -> bool:
        """The next page; True when there is more."""
        page = self._log.told(cursor=generation.cursor, limit=self._batch)
        if not page.told:
            return page.more
        found = tally(page.told, generation.since)
        days = {profile.hour - profile.hour % clock.DAY for profile in found}
        self._learn(generation.number, days)
        try:
            added = rows(found, self._known)
            is_added = self._store.advance(generation, page.cursor, page.told[-1].taken_at, added)
        except StoreError:
            self._known_of = 0
            raise
        if not is_added:
            self._known_of = 0
        return page.more or not is_added

    def _learn(self, number: int, days: set[int]) -> None:
        if number != self._known_of:
            self._known, self._known_of, self._days = Known(), number, set()
        if len(self._days | days) > _DAYS_KNOWN:
            self._known.forget_but(days)
            self._days &= days
        for day in days - self._days:
            self._known.learn(day, self._store.values_of(number, day))
        self._days |= days
