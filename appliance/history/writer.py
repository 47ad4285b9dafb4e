"""Writer: puts batches of events into the log; the worker has the only one.

Promises: an event is written once, however often its batch comes; a batch is on disk when `write`
returns; places in the journal rise in the order of commits, over restarts and clock steps too.
News of a message whose day is no longer kept are passed over; what cannot be understood is set
aside in `log_rejected`; a day that is damaged is set aside too and begun anew. Fails with StoreError, having written some of the batch's days or none:
the same batch may then come again.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from appliance.core import clock
from appliance.core.errors import StoreDamagedError
from appliance.core.log import fields
from appliance.history.days import bounds, day_of, name
from appliance.history.files import DayFiles
from appliance.history.model import LoggedEvent, Rejected, Written
from appliance.history.postgres import DayTables
from appliance.history.rows import TEXT, Rows
from appliance.history.statements import compile_writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appliance.core.database import Location
    from appliance.history.partitions import WritePartitions
    from appliance.history.rows import Row

POSITION_BITS: Final = 20
"""A place in the journal is the time in ms and a counter: a cursor can be made of a time."""

T = TypeVar("T")
_MAX_NUMBER: Final = (1 << 63) - 1
_log = logging.getLogger(__name__)


def write_partitions(location: Location) -> WritePartitions:
    """Day files in a folder, or partitions in the PostgreSQL database of this URL."""
    return DayTables(location) if isinstance(location, str) else DayFiles(location)


class LogWriter:
    """The log's one writer. Call `open` first; not for several threads at once."""

    def __init__(
        self,
        partitions: WritePartitions,
        *,
        keep_days: int,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._partitions, self._keep_days, self._now = partitions, keep_days, now
        self._sql = compile_writes(partitions.dialect)
        self._position = 0

    @property
    def today(self) -> int:
        """The day it is."""
        return self._now() // clock.DAY

    def open(self) -> None:
        """Bring every day up to date and find the journal's last place."""
        for day in self._partitions.open():
            last = self._despite_damage(day, partial(self._last_position, day))
            self._position = max(self._position, last)

    def _last_position(self, day: int) -> int:
        with self._partitions.transaction(day) as cursor:
            last = cursor.execute(self._sql["last_position"], bounds(day)).fetchone()[0]
        return last or 0

    def _despite_damage(self, day: int, work: Callable[[], T]) -> T:
        """One damaged day must not stop the others: what is left of it is set aside, and it begins anew."""
        try:
            return work()
        except StoreDamagedError as error:
            if not self._partitions.set_aside(day):
                raise
            about = f"the event log of {name(day)} is damaged and was set aside"
            _log.error("%s, it begins anew: %s", about, error)
            return work()

    def write(
        self, shard: int, events: Sequence[LoggedEvent], rejected: Sequence[Rejected] = ()
    ) -> Written:
        """Write a batch of one shard, a transaction for each day it touches."""
        oldest = self.today - self._keep_days
        by_day: dict[int, list[LoggedEvent]] = {}
        for event in events:
            by_day.setdefault(day_of(event.message_id), []).append(event)
        kept = too_old = 0
        for day, group in sorted(by_day.items()):
            if day < oldest:
                too_old += len(group)
            else:
                kept += self._despite_damage(day, partial(self._write_day, day, shard, group))
        self._set_aside(rejected)
        repeated = len(events) - kept - too_old
        return Written(kept=kept, repeated=repeated, too_old=too_old, rejected=len(rejected))

    def _write_day(self, day: int, shard: int, events: list[LoggedEvent]) -> int:
        with self._partitions.transaction(day) as cursor:
            fresh = self._fresh(cursor, day, shard, events)
            if not fresh:
                return 0
            rows = Rows(fresh, self._take_places(len(fresh)))
            self._many(cursor, "insert_recipient", rows.recipients())
            self._many(cursor, "tried", rows.tried())
            self._many(cursor, "moved", rows.moved())
            self._many(cursor, "insert_tag", rows.tags)
            self._many(cursor, "insert_event", rows.events())
            self._many(cursor, "insert_journal", rows.journal())
        return len(fresh)

    def _fresh(
        self, cursor: Any, day: int, shard: int, events: list[LoggedEvent]
    ) -> list[LoggedEvent]:
        """Those that this day does not hold yet; the shard's progress is moved behind them.

        What lies below the progress is looked up one by one: a batch that comes again after a
        crash, or new events under old numbers from a spool that was restored from a backup.
        """
        row = cursor.execute(self._sql["progress"], (day, shard)).fetchone()
        newest = events[-1].seq
        if row is None:
            cursor.execute(self._sql["insert_progress"], (day, shard, newest))
            return events
        if newest > row[0]:
            cursor.execute(self._sql["advance"], (newest, day, shard))
        if events[0].seq > row[0]:
            return events
        return [e for e in events if e.seq > row[0] or not self._is_known(cursor, e)]

    def _is_known(self, cursor: Any, event: LoggedEvent) -> bool:
        key = (event.message_id, event.n, event.seq)
        return cursor.execute(self._sql["known"], key).fetchone() is not None

    def _take_places(self, count: int) -> int:
        """The first of so many places; never given again, even if the commit fails."""
        first = max(self._position + 1, self._now() << POSITION_BITS)
        self._position = first + count - 1
        return first

    def _many(self, cursor: Any, statement: str, rows: Iterable[Row]) -> None:
        cursor.executemany(self._sql[statement], rows)

    def _set_aside(self, rejected: Sequence[Rejected]) -> None:
        if not rejected:
            return
        self._despite_damage(self.today, partial(self._write_rejected, self.today, rejected))
        for one in rejected:
            about = fields(shard=one.shard, seq=one.row.seq, message_id=one.row.message_id)
            _log.error("event set aside: %s", one.problem, extra=about)

    def _write_rejected(self, day: int, rejected: Sequence[Rejected]) -> None:
        with self._partitions.transaction(day) as cursor:
            self._many(cursor, "insert_rejected", [_rejected_row(day, one) for one in rejected])

    def tidy(self) -> list[str]:
        """Drop the days that are no longer kept and make tomorrow's ahead; returns what went."""
        self._partitions.prepare(self.today)
        self._partitions.prepare(self.today + 1)
        gone = [day for day in self._partitions.days() if day < self.today - self._keep_days]
        for day in gone:
            self._partitions.drop(day)
        return [name(day) for day in gone]

    def close(self) -> None:
        """Let the log go."""
        self._partitions.close()


def _rejected_row(day: int, one: Rejected) -> tuple[object, ...]:
    row = one.row
    return (
        day,
        one.shard,
        _clamp(row.seq),
        _clamp(row.message_id),
        _clamp(row.n),
        _text(row.kind),
        _clamp(row.at),
        row.data,
        _text(one.problem),
    )


def _clamp(number: int) -> int:
    return max(-_MAX_NUMBER, min(_MAX_NUMBER, number))


def _text(text: str) -> str:
    return text[:TEXT].replace("\0", "\ufffd")
