"""Rebuild: makes the counts again from the events that are still kept, beside those in use.

    begin -> step, step, ... -> the new ones take the place of the old

Promises: readers see the old counts until the new are whole; what is older than the log reaches is
taken over from the old ones. A step may come again after a crash: it goes on where its counts stand.
Of two at once the later wins, and the earlier fails with ConflictError. Blocks: call it in a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.errors import ConflictError
from appliance.statistics.counter import Counter

if TYPE_CHECKING:
    from appliance.history import LogReader
    from appliance.statistics.store import Generation, Store


class Rebuild:
    """One at a time; the last that began counts."""

    def __init__(self, store: Store, log: LogReader) -> None:
        self._store, self._log = store, log
        self._counter = Counter(store, log)

    def begin(self) -> int:
        """Begin anew; returns the number under which it goes on."""
        self._counter = Counter(self._store, self._log)
        days = self._log.days()
        return self._store.begin_again(min(days, default=0) * clock.DAY).number

    def step(self, number: int) -> bool:
        """Count a page; True when there is more, False when the new counts are in use."""
        made = self._get(number)
        if made.is_live:  # a step that comes again after the last
            return False
        if self._counter.advance(made):
            return True
        if not self._store.switch(self._get(number)):
            raise _taken_over()
        return False

    def progress(self, number: int, now: int) -> float:
        """How far it is in time, 0 to 1."""
        first = min(self._log.days(), default=0) * clock.DAY
        counted = self._get(number).counted_to
        return min(1.0, max(0.0, (counted - first) / max(1, now - first)))

    def _get(self, number: int) -> Generation:
        made = self._store.get(number)
        if made is None:
            raise _taken_over()
        return made


def _taken_over() -> ConflictError:
    return ConflictError("another rebuild of the statistics has begun since: that one goes on")
