"""Walk: finds what has very many hits among the newest rows, where an index would have to sort them all.

An index on addresses gives the hits of a prefix in the order of addresses: a hundred thousand of them
are read, at 2 us each, and sorted for one page of fifty (260 ms). And an index on domains passes over
every other tenant's rows to find those of one. So, for each day of SQLite's log:

    of a tenant that has few that day        all its rows of the day, looked at one by one
    a prefix with fewer than MANY hits       by its index
    one with more                            the newest WINDOW rows looked at one by one, and only if
                                             these hold too few, the index for what lies before
    one with LOTS, and few among the newest  the next LOOKED_AT, and no further for this page
    what no index knows (words of subjects)  the newest LOOKED_AT of all days, looked at one by one
    all else                                 by its index

PostgreSQL keeps statistics and chooses for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.history.queries import UNINDEXED, Way, given_of, recipients

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect

    from appliance.core.scope import Scope
    from appliance.history.model import Filters
    from appliance.history.queries import Query, Shape

    Row = tuple[Any, ...]
    Run = Callable[[Query, dict[str, Any]], list[Row]]
    """Asks one day."""

MANY: Final = 2000
WINDOW: Final = 5000
FEW: Final = 2000
LOTS: Final = 25_000
"""Hits that an index may have to sort for a page: 50 ms."""

LOOKED_AT: Final = 20_000
"""Recipients that a search without an index looks at for a page: 2 us each, however rare the hits are."""

_SELECTIVE: Final = frozenset({"own", "header", "address", "tag"})
_BROAD: Final = frozenset({"flags", "status", "sender", "domain"})


class Search:
    """A search, ready to be asked of each day, the newest first.

    `spent_at`: the message at which one that looks at rows has looked at as many as it may; 0 before.
    """

    spent_at = 0

    def __init__(self, filters: Filters, scope: Scope, dialect: Dialect) -> None:
        shape = frozenset(given_of(filters, scope))
        ways = _ways(shape, dialect)
        self._query = {way: recipients(filters, scope, dialect, way) for way in ways}
        self._by_index = self._query[ways[0]]
        self._is_unindexed = ways[0] is Way.SCAN
        self._left = LOOKED_AT
        self._is_one_tenants = "tenant" in shape and Way.FAR_DOWN in ways

    def of_day(self, run: Run, place: dict[str, int]) -> list[Row]:
        """Rows of a page. `place`: lo, hi (ids), cursor_id, cursor_n, limit."""
        if self._is_unindexed:
            return self._looked(run, place)
        if self._is_one_tenants and self._far_down(run, place, FEW) is None:
            return run(self._query[Way.BY_TIME], place)
        if Way.HOW_MANY in self._query and self._has(run, MANY):
            return self._newest(run, place)
        return run(self._by_index, place)

    def _has(self, run: Run, hits: int) -> bool:
        return (hits,) in run(self._query[Way.HOW_MANY], {"limit": hits})

    def _looked(self, run: Run, place: dict[str, int]) -> list[Row]:
        """Hits among as many as may still be looked at."""
        (window,) = run(self._query[Way.WINDOW], place | {"limit": self._left})
        self._left -= window[0]
        if self._left <= 0:
            self.spent_at = window[1]
            place = place | {"lo": self.spent_at}
        return run(self._query[Way.SCAN], place)

    def _newest(self, run: Run, place: dict[str, int]) -> list[Row]:
        end = self._far_down(run, place, WINDOW)
        if end is None:
            return run(self._query[Way.BY_TIME], place)
        rows = run(self._query[Way.BY_TIME], place | {"lo": end})
        missing = place["limit"] - len(rows)
        if not missing:
            return rows
        before = place | {"hi": end, "limit": missing}
        if self._has(run, LOTS):
            return rows + self._looked(run, before)
        return rows + run(self._by_index, before)

    def _far_down(self, run: Run, place: dict[str, int], skip: int) -> int | None:
        """The message so many rows behind the cursor; None when there are not so many."""
        bounds = {name: value for name, value in place.items() if name != "limit"}
        found = run(self._query[Way.FAR_DOWN], bounds | {"skip": skip})
        return found[0][0] if found else None


def _ways(shape: Shape, dialect: Dialect) -> tuple[Way, ...]:
    """Which statements the search may need."""
    if shape & UNINDEXED:
        return Way.SCAN, Way.WINDOW
    if dialect.name != "sqlite":
        return (Way.BY_INDEX,)
    if shape & _SELECTIVE:
        return (Way.BY_INDEX,)
    if "prefix" in shape:
        return tuple(Way)
    if "tenant" in shape and shape & _BROAD:
        return Way.BY_INDEX, Way.BY_TIME, Way.FAR_DOWN
    return (Way.BY_INDEX,)
