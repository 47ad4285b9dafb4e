"""Use cases of statistics: series, totals and rankings for a tenant or for the box.

A tenant sees the rows of its own; the system sees those that count for everybody together, or one
tenant's when it asks for them. Counts are kept by one dimension at a time: "of this provider" and "of
this tag" are answers, "of this tag at this provider" is none.
Questions are bounded in steps and rows. Fails with UsageError (naming the field) and StoreError.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from appliance.core.database import reading
from appliance.core.errors import UsageError
from appliance.core.scope import scoped
from appliance.statistics.model import (
    COLUMNS,
    EVERYBODY,
    Counts,
    Dimension,
    Measure,
    Of,
    Point,
    Ranked,
    Standing,
    counts_of,
)
from appliance.statistics.rules import kept_text
from appliance.statistics.tables import counts_of_step, generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Select, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.scope import Scope
    from appliance.statistics.model import Period

MAX_STEPS: Final = 1000
MAX_RANKED: Final = 1000
MAX_LINES: Final = 20

_g = generation.c
_LIVE: Final = select(_g.generation).where(_g.is_live).scalar_subquery()


class Statistics:
    """Counts, for reading."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def series(self, scope: Scope, period: Period, of: Of = Of()) -> tuple[Point, ...]:  # noqa: B008 - frozen
        """Counts for each step of the period, in order; steps in which nothing happened too."""
        table = _table(period)
        wanted = _narrowed(_start_of(table), table, scope, period, of)
        rows = await self._rows(wanted.where(table.c.value == kept_text(of.value)))
        return _points(period, {row[0]: row[1:] for row in rows})

    async def totals(self, scope: Scope, period: Period, of: Of = Of()) -> Counts:  # noqa: B008 - frozen
        """All of the period together."""
        table = _table(period)
        wanted = _narrowed(_sums(table), table, scope, period, of)
        (row,) = await self._rows(wanted.where(table.c.value == kept_text(of.value)))
        return counts_of(tuple(int(value or 0) for value in row))

    async def top(
        self,
        scope: Scope,
        period: Period,
        by: Dimension,
        *,
        order: Measure = Measure.ACCEPTED,
        limit: int = 10,
        tenant_id: int | None = None,
    ) -> tuple[Ranked, ...]:
        """Values of a dimension, those with most of `order` first."""
        _check_ranking(scope, by, limit, tenant_id)
        table, of = _table(period), Of(dimension=by, tenant_id=tenant_id)
        most = func.sum(table.c[order.value])
        first = _narrowed(select(table.c.value), table, scope, period, of)
        first = first.group_by(table.c.value).order_by(most.desc(), table.c.value).limit(limit)
        wanted = _narrowed(_sums_by_value(table), table, scope, period, of)
        wanted = wanted.where(table.c.value.in_(first))
        rows = await self._rows(wanted.group_by(table.c.value))
        found = [Ranked(value=row[0], counts=counts_of(tuple(map(int, row[1:])))) for row in rows]
        return tuple(sorted(found, key=lambda one: (-getattr(one.counts, order), one.value)))

    async def lines(
        self,
        scope: Scope,
        period: Period,
        by: Dimension,
        values: Sequence[str],
        *,
        tenant_id: int | None = None,
    ) -> dict[str, tuple[Point, ...]]:
        """The series of several values of a dimension, in the order given."""
        if not 1 <= len(values) <= MAX_LINES:
            raise UsageError(f"ask for 1 to {MAX_LINES} lines", field="values")
        table, of = _table(period), Of(dimension=by, tenant_id=tenant_id)
        wanted = select(table.c.value, table.c.start, *(table.c[name] for name in COLUMNS))
        wanted = _narrowed(wanted, table, scope, period, of).where(table.c.value.in_(values))
        found: dict[str, dict[int, Any]] = {value: {} for value in values}
        for value, start, *counts in await self._rows(wanted):
            found[value][start] = counts
        return {value: _points(period, counts) for value, counts in found.items()}

    async def sums(
        self, scope: Scope, period: Period, by: Dimension, values: Sequence[str]
    ) -> dict[str, Counts]:
        """All of the period together, of each of these values of a dimension that has any."""
        if len(values) > MAX_RANKED:
            raise UsageError(f"ask for at most {MAX_RANKED} values", field="values")
        table = _table(period)
        wanted = _sums_by_value(table).where(table.c.value.in_(values))
        wanted = _narrowed(wanted, table, scope, period, Of(dimension=by))
        rows = await self._rows(wanted.group_by(table.c.value))
        return {row[0]: counts_of(tuple(map(int, row[1:]))) for row in rows}

    async def standing(self, scope: Scope) -> Standing:
        """How far counting is; the same for everybody."""
        wanted = select(_g.is_live, _g.counted_to, _g.since).order_by(_g.is_live)
        rows = await self._rows(wanted)
        _, counted_to, since = rows[-1]
        return Standing(counted_to=counted_to, since=since, rebuilding=len(rows) > 1)

    async def _rows(self, wanted: Select[Any]) -> list[Any]:
        async with reading(self._engine) as connection:
            return list(await connection.execute(wanted))


def _table(period: Period) -> Table:
    if period.until <= period.since:
        raise UsageError("the end is not after the beginning", field="until")
    if (period.end - period.start) // period.step.ms > MAX_STEPS:
        raise UsageError(f"that is more than {MAX_STEPS} {period.step}s", field="since")
    return counts_of_step[period.step]


def _check_ranking(scope: Scope, by: Dimension, limit: int, tenant_id: int | None) -> None:
    if by is Dimension.TENANT and (not scope.is_system or tenant_id is not None):
        raise UsageError("tenants are ranked for the whole box only", field="by")
    if by is Dimension.TOTAL:
        raise UsageError("say by what to rank", field="by")
    if not 1 <= limit <= MAX_RANKED:
        raise UsageError(f"a ranking has 1 to {MAX_RANKED} rows", field="limit")


def _narrowed(
    statement: Select[Any], table: Table, scope: Scope, period: Period, of: Of
) -> Select[Any]:
    """Of the counts in use, in the period, of whom the scope sees."""
    c = table.c
    whose = EVERYBODY if of.tenant_id is None else of.tenant_id
    if scope.is_system or of.tenant_id is not None:
        statement = statement.where(c.tenant_id == whose)
    statement = scoped(statement, table, scope)
    return statement.where(
        c.generation == _LIVE,
        c.dimension == of.dimension.value,
        c.start >= period.start,
        c.start < period.end,
    )


def _start_of(table: Table) -> Select[Any]:
    return select(table.c.start, *(table.c[name] for name in COLUMNS))


def _points(period: Period, found: Mapping[int, Sequence[int]]) -> tuple[Point, ...]:
    none = Counts()
    return tuple(
        Point(at=at, counts=counts_of(tuple(found[at])) if at in found else none)
        for at in range(period.start, period.end, period.step.ms)
    )


# Put together once: the same twenty sums cost a page 3 ms each time.
@functools.cache
def _sums(table: Table) -> Select[Any]:
    return select(*_summed(table))


@functools.cache
def _sums_by_value(table: Table) -> Select[Any]:
    return select(table.c.value, *_summed(table))


def _summed(table: Table) -> list[Any]:
    return [func.sum(table.c[name]) for name in COLUMNS]
