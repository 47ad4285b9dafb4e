"""Fresh: what kinds of things happened of late, and to whose mail; for those who only want to know that.

Reads the journal alone, not the events, and no more than so many rows at once: where more came in than that,
it says so, goes to the end, and whoever asked takes it that everybody is concerned.
Calls block: use `asyncio.to_thread`. Fails with StoreError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from appliance.history import tables as t
from appliance.history.queries import at_most, compiled, in_day, p
from appliance.history.search import read_partitions
from appliance.history.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Dialect

    from appliance.core.database import Location
    from appliance.history.queries import Query


@dataclass(frozen=True, slots=True)
class Fresh:
    """What came in behind a place. `is_too_much`: more than was looked at, and `kinds` is empty."""

    place: int
    kinds: Mapping[int, frozenset[str]]  # by tenant; the words of mta.status.EventKind
    is_too_much: bool = False


class FreshEvents:
    """The newest end of the log. Has connections of its own; for several threads."""

    def __init__(self, location: Location) -> None:
        self._partitions = read_partitions(location)
        self._stream = Stream(self._partitions)
        self._query = _kinds(self._partitions.dialect)

    def end(self) -> int:
        """The place behind everything the log holds now."""
        return self._stream.last_place()

    def behind(self, place: int, limit: int) -> Fresh:
        """What came in since, of at most so many events."""
        found = self._stream.behind(place, self._query, limit, is_all=True)
        if found.more:
            return Fresh(self.end(), {}, is_too_much=True)
        kinds: dict[int, set[str]] = {}
        for _, tenant_id, kind in found.rows:
            kinds.setdefault(tenant_id, set()).add(kind)
        whose = {tenant_id: frozenset(some) for tenant_id, some in kinds.items()}
        return Fresh(max(place, found.end), whose)

    def close(self) -> None:
        """Let the log go."""
        self._partitions.close()


def _kinds(dialect: Dialect) -> Query:
    """Given: lo, hi, after, upto, limit (places)."""
    j = t.journal.c
    statement = (
        select(j.position, j.tenant_id, j.kind)
        .where(j.position > p("after"), j.position <= p("upto"), *in_day(j.message_id))
        .order_by(j.position)
    )
    return compiled(at_most(statement), dialect)
