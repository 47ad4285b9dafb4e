"""Search: what anybody asks of the log, while the worker writes it.

Promises: newest first, in pages of bounded size whose cursor stays true while rows come in; a tenant
finds its own messages only; days are asked from the newest to the oldest, and no further than the
page needs, nor further than a bounded look at rows where no index helps. The stream of events is
complete: what a cursor has passed never comes in before it.
Never waits for the writer. Calls block: from an event loop, use `asyncio.to_thread`.
Fails with UsageError (a cursor or filter that makes no sense), NotFoundError, StoreError.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.history import queries, stream_queries, walk
from appliance.history.days import bounds, day_of
from appliance.history.files import DayFilesReader
from appliance.history.found import acceptance_of, event_of, found_of, history_of, told_of
from appliance.history.model import EventFilters, EventPage, Original, Page, ToldPage
from appliance.history.postgres import DayTablesReader
from appliance.history.stream import Stream
from appliance.history.writer import POSITION_BITS
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from appliance.core.database import Location
    from appliance.core.scope import Scope
    from appliance.history.model import (
        EventRecord,
        Filters,
        Found,
        MessageHistory,
    )
    from appliance.history.partitions import ReadPartitions
    from appliance.history.queries import Query

MAX_PAGE: Final = 1000
MAX_SHOWN: Final = 10_000
"""Events and recipients of one message that `show` gives."""

_END: Final = (1 << 63) - 1
_MAX_N: Final = 1 << 31
_SAME_HEADER: Final = 100
_WAITS: Final = (Status.QUEUED, Status.DEFERRED, Status.HELD)


def read_partitions(location: Location) -> ReadPartitions:
    """Day files in a folder, or partitions in the PostgreSQL database of this URL."""
    return DayTablesReader(location) if isinstance(location, str) else DayFilesReader(location)


class LogReader:
    """The log for reading. May be shared by threads."""

    def __init__(self, location: Location) -> None:
        self._partitions = read_partitions(location)
        self._dialect = self._partitions.dialect
        self._recipients_of = queries.recipients_of(self._dialect)
        self._events_of = queries.events_of(self._dialect)
        self._original = queries.original(self._dialect)
        self._stream = Stream(self._partitions)
        self._told = stream_queries.told(self._dialect)
        self._acceptances = queries.acceptances(self._dialect)
        self._several = queries.several(self._dialect)
        self._waiting = queries.waiting(self._dialect)

    def close(self) -> None:
        """Let the log go."""
        self._partitions.close()

    # -- recipients ------------------------------------------------------

    def search(self, scope: Scope, filters: Filters, *, cursor: str = "", limit: int = 100) -> Page:
        """A page of recipients, newest first."""
        limit = _bounded(limit)
        last_id, last_n = _read_cursor(cursor)
        search = walk.Search(filters, scope, self._dialect)
        own = queries.message_id_of(filters.message)
        first = max(own, ids.first_at(filters.since) if filters.since else 0)
        after = min(
            last_id + 1 if cursor else _END,
            ids.first_at(filters.until) if filters.until else _END,
            own + 1 if own else _END,
        )
        place = {"cursor_id": last_id, "cursor_n": last_n}
        rows: list[Found] = []
        for day, lo, hi in self._days(first, after):
            # One more than asked for tells whether another page follows.
            wanted = limit + 1 - len(rows)
            here = place | {"lo": lo, "hi": hi, "limit": wanted}
            rows += map(found_of, search.of_day(partial(self._ask, day), here))
            if len(rows) > limit:
                return Page(rows=tuple(rows[:limit]), cursor=_cursor_behind(rows[limit - 1]))
            if search.spent_at:
                end = f"{ids.to_text(search.spent_at)}.0"
                return Page(rows=tuple(rows), cursor=end, looked=walk.LOOKED_AT)
        return Page(rows=tuple(rows), cursor="")

    def _ask(self, day: int, query: Query, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self._partitions.rows(day, query.sql, query.values(**given))

    def _days(self, first: int, after: int) -> Iterator[tuple[int, int, int]]:
        """Days that hold ids from `first` to before `after`, newest first, with their part of it."""
        for day in self._partitions.days():
            start, end = bounds(day)
            lo, hi = max(first, start), min(after, end)
            if lo < hi:
                yield day, lo, hi

    def show(self, scope: Scope, message_id: int) -> MessageHistory:
        """A message with its recipients and every event. Raises NotFoundError."""
        recipients = [found_of(row) for row in self._of_message(self._recipients_of, message_id)]
        if not recipients or scope.tenant_id not in (None, recipients[0].tenant_id):
            raise NotFoundError(
                f"the log has no message {ids.to_text(message_id)}: it may be too new (seconds),"
                " too old (retention.events_days), or never have been accepted"
            )
        events = self._of_message(self._events_of, message_id)
        return history_of(
            recipients[:MAX_SHOWN],
            [event_of(row) for row in events[:MAX_SHOWN]],
            is_cut=max(len(recipients), len(events)) > MAX_SHOWN,
        )

    def recipients(self, message_id: int) -> tuple[Found, ...]:
        """Everybody a message went to; nothing when the log does not know it."""
        return tuple(map(found_of, self._of_message(self._recipients_of, message_id)))

    def several(self, keys: Collection[tuple[int, int]]) -> dict[tuple[int, int], Found]:
        """These recipients (message, n) as the log knows them, of those that it has."""
        by_day: dict[int, set[tuple[int, int]]] = {}
        for key in keys:
            by_day.setdefault(day_of(key[0]), set()).add(key)
        found: dict[tuple[int, int], Found] = {}
        for day in by_day.keys() & set(self._partitions.days()):
            wanted = sorted(by_day[day])
            for start in range(0, len(wanted), queries.SEVERAL):
                rows = self._some_recipients(day, wanted[start : start + queries.SEVERAL])
                found |= {(one.message_id, one.n): one for one in map(found_of, rows)}
        return found

    def _some_recipients(self, day: int, keys: list[tuple[int, int]]) -> list[tuple[Any, ...]]:
        padded = keys + keys[-1:] * (queries.SEVERAL - len(keys))
        given = {f"m{at}": message_id for at, (message_id, _) in enumerate(padded)}
        given |= {f"n{at}": n for at, (_, n) in enumerate(padded)}
        return self._partitions.rows(day, self._several.sql, self._several.values(**given))

    def acceptances(self, message_ids: Collection[int]) -> dict[int, dict[str, Any]]:
        """What was said when these messages were accepted, of those that the log knows."""
        by_day: dict[int, list[int]] = {}
        for message_id in sorted(message_ids):
            by_day.setdefault(day_of(message_id), []).append(message_id)
        found: dict[int, dict[str, Any]] = {}
        for day in by_day.keys() & set(self._partitions.days()):
            for start in range(0, len(by_day[day]), queries.SEVERAL):
                rows = self._some_acceptances(day, by_day[day][start : start + queries.SEVERAL])
                found |= {row[0]: acceptance_of(row) for row in rows}
        return found

    def _some_acceptances(self, day: int, message_ids: list[int]) -> list[tuple[Any, ...]]:
        missing = queries.SEVERAL - len(message_ids)
        padded = message_ids + message_ids[-1:] * missing
        values = self._acceptances.values(**{f"m{n}": one for n, one in enumerate(padded)})
        return self._partitions.rows(day, self._acceptances.sql, values)

    def days(self) -> list[int]:
        """The days the log has, newest first."""
        return [day for day, _, _ in self._days(0, _END)]

    def _of_message(self, query: Query, message_id: int) -> list[tuple[Any, ...]]:
        day = day_of(message_id)
        if day not in self._partitions.days():
            return []
        values = query.values(message_id=message_id, limit=MAX_SHOWN + 1)
        return self._partitions.rows(day, query.sql, values)

    def waiting(self, scope: Scope, since: int) -> dict[int, int]:
        """How many recipients of a tenant that were accepted since then wait, by quarter of an hour.

        Among the newest that wait on the box: where very much does, the oldest hours may lack some.
        """
        found: dict[int, int] = {}
        given = {"tenant": scope.tenant_id, "limit": walk.LOOKED_AT}
        for day, lo, hi in self._days(ids.first_at(since), _END):
            for status in _WAITS:
                values = self._waiting.values(**given, status=status.value, lo=lo, hi=hi)
                for quarter, count in self._partitions.rows(day, self._waiting.sql, values):
                    at = ids.time_of(quarter * queries.QUARTER)
                    found[at] = found.get(at, 0) + count
        return found

    # -- for notices that came back --------------------------------------

    def find_recipient(self, message_id_header: str, address: str) -> Original | None:
        """The recipient a notice without a signed return path speaks of.

        Without an address, or when it was rewritten on its way, only a message with a single
        recipient is certain. Of several messages with one Message-ID the newest counts.
        """
        header = queries.bracketed(message_id_header)
        for day, lo, hi in self._days(0, _END):
            values = self._original.values(lo=lo, hi=hi, header=header, limit=_SAME_HEADER)
            rows = self._partitions.rows(day, self._original.sql, values)
            if rows:
                return _match(rows, address)
        return None

    def find_original(self, message_id: int, n: int) -> Found | None:
        """The recipient that a signed return path names."""
        for row in self._of_message(self._recipients_of, message_id):
            found = found_of(row)
            if found.n == n:
                return found
        return None

    # -- the stream of events --------------------------------------------

    def events(
        self, scope: Scope, filters: EventFilters, *, cursor: str = "", limit: int = 500
    ) -> EventPage:
        """Events behind the cursor, in the order in which the log took them in; "" is its beginning.

        A cursor from before the oldest day that is kept goes on at that day: what was dropped is gone.
        A page may be empty and have more behind it, where what is asked for is rare.
        """
        query = stream_queries.events(filters, scope, self._dialect)
        place = self._stream.behind(
            _read_position(cursor), query, _bounded(limit), is_all=_is_all(scope, filters)
        )
        events = tuple(event_of(row[1:], row[0]) for row in place.rows)
        return EventPage(events=events, cursor=str(place.end), more=place.more)

    def told(self, *, cursor: str = "", limit: int = 5000) -> ToldPage:
        """The same stream, of everybody, as those that count need it."""
        place = self._stream.behind(_read_position(cursor), self._told, limit, is_all=True)
        told = tuple(map(told_of, place.rows))
        return ToldPage(told=told, cursor=str(place.end), more=place.more)

    def end(self) -> str:
        """The cursor behind everything the log holds now."""
        return str(self._stream.last_place())


def cursor_at(ms: int) -> str:
    """The cursor before everything that the log took in from this time on."""
    return str(min(_END, max(0, (ms << POSITION_BITS) - 1)))


def follow(
    reader: LogReader,
    scope: Scope,
    filters: EventFilters,
    *,
    cursor: str,
    rest: Callable[[], bool],
) -> Iterator[EventRecord]:
    """Events as they come. `rest` waits a little when there are none, and says whether to go on."""
    while True:
        page = reader.events(scope, filters, cursor=cursor)
        yield from page.events
        cursor = page.cursor
        if not page.more and not rest():
            return


def _is_all(scope: Scope, filters: EventFilters) -> bool:
    return scope.is_system and filters == EventFilters()


def _bounded(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"a page has 1 to {MAX_PAGE} rows, not {limit}")
    return limit


def _cursor_behind(row: Found) -> str:
    return f"{ids.to_text(row.message_id)}.{row.n}"


def _read_cursor(cursor: str) -> tuple[int, int]:
    """The key of the last row that was given; behind everything without a cursor."""
    if not cursor:
        return _END, 0
    message, _, n = cursor.partition(".")
    try:
        place = ids.from_text(message), int(n)
    except ValueError:
        raise _strange(cursor) from None
    if not 0 <= place[1] < _MAX_N:
        raise _strange(cursor)
    return place


def _read_position(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > _END:
        raise _strange(cursor)
    return int(cursor)


def _strange(cursor: str) -> UsageError:
    words = f"{cursor!r} is no cursor: give back what the last page said, or none"
    return UsageError(words, field="cursor")


def _match(rows: list[tuple[Any, ...]], address: str) -> Original | None:
    """Rows are (message id, n, tenant, address), the newest message first."""
    same = [row for row in rows if row[3].lower() == address.lower()]
    newest = [row for row in rows if row[0] == rows[0][0]]
    if not same and len(newest) > 1:
        return None
    message_id, n, tenant_id, _ = (same or newest)[0]
    return Original(message_id=message_id, n=n, tenant_id=tenant_id)
