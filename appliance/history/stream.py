"""Stream: the journals of all days as one, read behind a place.

The end of a page is fixed before any day is read. Places rise in the order of commits, so all up to
there stand by then; what comes in meanwhile, to a day read early or late, is the next page's. A day
that fills the page says how far the later ones need to be read. Where only some events are wanted, no
more than LOOKED_AT are looked at for a page: a rare kind in millions would keep everybody waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from appliance.history import stream_queries
from appliance.history.days import bounds

if TYPE_CHECKING:
    from appliance.history.partitions import ReadPartitions
    from appliance.history.queries import Query

LOOKED_AT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Behind:
    """Rows behind a place, and the place behind them."""

    rows: list[tuple[Any, ...]]
    end: int
    more: bool


class Stream:
    """For several threads."""

    def __init__(self, partitions: ReadPartitions) -> None:
        self._partitions = partitions
        self._last_position = stream_queries.last_position(partitions.dialect)
        self._far_on = stream_queries.far_on(partitions.dialect)

    def behind(self, after: int, query: Query, limit: int, *, is_all: bool) -> Behind:
        """Rows whose place is above `after`. `is_all`: the query leaves nothing out."""
        days = sorted(self._partitions.days())
        last = self.last_place()
        if last <= after:
            return Behind([], after, more=False)
        end = upto = last if is_all else self._bound(days, after, last)
        pages = []
        for day in days:
            found = self._of_day(day, query, after=after, upto=upto, limit=limit + 1)
            pages.append(found)
            if len(found) > limit:
                upto = found[-1][0]
        rows = list(islice(merge(*pages, key=itemgetter(0)), limit + 1))
        if len(rows) > limit:
            return Behind(rows[:limit], rows[limit - 1][0], more=True)
        return Behind(rows, end, more=end < last)

    def last_place(self) -> int:
        """Of everything that the log holds."""
        last = 0
        for day in self._partitions.days():
            for row in self._of_day(day, self._last_position):
                last = max(last, row[0] or 0)
        return last

    def _bound(self, days: list[int], after: int, last: int) -> int:
        """The place up to which to look."""
        for day in days:
            for row in self._of_day(day, self._far_on, after=after, upto=last, skip=LOOKED_AT):
                last = row[0]
        return last

    def _of_day(self, day: int, query: Query, **given: int) -> list[tuple[Any, ...]]:
        lo, hi = bounds(day)
        return self._partitions.rows(day, query.sql, query.values(lo=lo, hi=hi, **given))
