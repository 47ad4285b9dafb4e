"""Walk: finds what has very many hits among the newest rows, where an index would have to sort them all.

An index on addresses gives the hits of a prefix in the order of addresses: a hundred thousand of them
are read, at 2 us each, and sorted for one page of fifty (260 ms). And an index on domains passes over
every other tenant's rows to find those of one. So, for each day of SQLite's log:

    of a tenant that has few that day        all its rows of the day, looked at one by one
    a prefix with fewer than MANY hits       by its index
    one with more                            the newest WINDOW rows looked at one by one, and only if
                                             these hold too few, the index for what lies before
    all else                                 by its index

PostgreSQL keeps statistics and chooses for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.history.queries import Way, given_of, recipients

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
_SELECTIVE: Final = frozenset({"own", "header", "address", "tag"})
_BROAD: Final = frozenset({"flags", "status", "sender", "domain"})


class Search:
    """A search, ready to be asked of each day."""

    def __init__(self, filters: Filters, scope: Scope, dialect: Dialect) -> None:
        shape = frozenset(given_of(filters, scope))
        ways = _ways(shape) if dialect.name == "sqlite" else (Way.BY_INDEX,)
        self._query = {way: recipients(filters, scope, dialect, way) for way in ways}
        self._by_index = self._query[Way.BY_INDEX]
        self._is_one_tenants = "tenant" in shape and Way.FAR_DOWN in ways

    def of_day(self, run: Run, place: dict[str, int]) -> list[Row]:
        """Rows of a page. `place`: lo, hi (ids), cursor_id, cursor_n, limit."""
        if self._is_one_tenants and self._far_down(run, place, FEW) is None:
            return run(self._query[Way.BY_TIME], place)
        if Way.HOW_MANY in self._query:
            counted = run(self._query[Way.HOW_MANY], {"limit": MANY})
            if (MANY,) in counted:
                return self._newest(run, place)
        return run(self._by_index, place)

    def _newest(self, run: Run, place: dict[str, int]) -> list[Row]:
        end = self._far_down(run, place, WINDOW)
        if end is None:
            return run(self._query[Way.BY_TIME], place)
        rows = run(self._query[Way.BY_TIME], place | {"lo": end})
        missing = place["limit"] - len(rows)
        if missing:
            rows += run(self._by_index, place | {"hi": end, "limit": missing})
        return rows

    def _far_down(self, run: Run, place: dict[str, int], skip: int) -> int | None:
        """The message so many rows behind the cursor; None when there are not so many."""
        bounds = {name: value for name, value in place.items() if name != "limit"}
        found = run(self._query[Way.FAR_DOWN], bounds | {"skip": skip})
        return found[0][0] if found else None


def _ways(shape: Shape) -> tuple[Way, ...]:
    """Which statements the search may need."""
    if shape & _SELECTIVE:
        return (Way.BY_INDEX,)
    if "prefix" in shape:
        return tuple(Way)
    if "tenant" in shape and shape & _BROAD:
        return Way.BY_INDEX, Way.BY_TIME, Way.FAR_DOWN
    return (Way.BY_INDEX,)
