"""Statistics: counts by hour and by day, over time and ranked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.messages import Since, Until, Whose, ms_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Example, moment
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.core.scope import Scope
from appliance.rights import Right
from appliance.statistics import Counts, Dimension, Measure, Of, Period, Step

_WEEK: Final = 7 * clock.DAY
_COUNTS: Final = {
    "accepted": 1000,
    "delivered": 970,
    "deferred": 40,
    "bounced_hard": 6,
    "bounced_soft": 3,
    "expired": 1,
    "suppressed": 20,
    "cancelled": 0,
    "corrupt": 0,
    "held": 0,
    "complained": 1,
    "bounced_late": 0,
    "unsubscribed": 2,
    "delay_p50_ms": 900,
    "delay_p95_ms": 4200,
    "delay_mean_ms": 1800,
}
By = Annotated[Dimension, QueryParameter(description="By what counts are kept apart.")]
Value = Annotated[str, QueryParameter(max_length=255, description="The value of `by` to count.")]
Rows = Annotated[int, QueryParameter(ge=1, le=100, description="Values that are ranked.")]


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients, each counted when it happened to them; `deferred` and `held` are times."""

    accepted: int
    delivered: int
    deferred: int
    bounced_hard: int
    bounced_soft: int
    expired: int
    suppressed: int
    cancelled: int
    corrupt: int
    held: int
    complained: int
    bounced_late: int
    unsubscribed: int
    delay_p50_ms: Annotated[int, msgspec.Meta(description="From acceptance to delivery.")]
    delay_p95_ms: int
    delay_mean_ms: int


class AtTime(msgspec.Struct, frozen=True, kw_only=True):
    """One hour or day."""

    at: datetime | None
    counts: Amounts


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Every step of the time, and all of them together."""

    items: list[AtTime]
    total: Amounts
    counted_to: Annotated[
        datetime | None, msgspec.Meta(description="The newest event that is counted.")
    ]


class OfValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value."""

    value: str
    counts: Amounts


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Those with most first."""

    items: list[OfValue]


@get(
    "/statistics",
    opt={
        RIGHT: Right.STATISTICS_READ,
        EXAMPLE: Example(
            {
                "items": [{"at": "2026-11-20T00:00:00Z", "counts": _COUNTS}],
                "total": _COUNTS,
                "counted_to": "2026-11-20T10:00:02Z",
            }
        ),
    },
    tags=["statistics"],
    summary="Counts over time",
)
async def series(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    since: Since = None,
    until: Until = None,
    step: FromQuery[Step] = Step.DAY,
    by: By = Dimension.TOTAL,
    value: Value = "",
    tenant: Whose = "",
) -> Series:
    """The last week, unless said otherwise; days are those of UTC."""
    scope, period = asker.actor.scope, _period(since, until, step)
    of = Of(dimension=by, value=value, tenant_id=await _tenant_of(rooms, scope, tenant))
    points = await rooms.statistics.series(scope, period, of)
    total = await rooms.statistics.totals(scope, period, of)
    standing = await rooms.statistics.standing(scope)
    return Series(
        items=[AtTime(at=moment(one.at), counts=_amounts(one.counts)) for one in points],
        total=_amounts(total),
        counted_to=moment(standing.counted_to),
    )


@get(
    "/statistics/top",
    opt={
        RIGHT: Right.STATISTICS_READ,
        EXAMPLE: Example({"items": [{"value": "google", "counts": _COUNTS}]}),
    },
    tags=["statistics"],
    summary="Values with most",
)
async def top(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    by: By,
    since: Since = None,
    until: Until = None,
    step: FromQuery[Step] = Step.DAY,
    order: FromQuery[Measure] = Measure.ACCEPTED,
    limit: Rows = 10,
    tenant: Whose = "",
) -> Ranking:
    """Providers, tags, domains ... with most of what `order` says; the last week unless said."""
    scope, period = asker.actor.scope, _period(since, until, step)
    ranked = await rooms.statistics.top(
        scope,
        period,
        by,
        order=order,
        limit=limit,
        tenant_id=await _tenant_of(rooms, scope, tenant),
    )
    return Ranking(items=[OfValue(value=one.value, counts=_amounts(one.counts)) for one in ranked])


def _period(since: datetime | None, until: datetime | None, step: Step) -> Period:
    end = ms_of(until, "until") or clock.now_ms()
    return Period(since=ms_of(since) or end - _WEEK, until=end, step=step)


async def _tenant_of(rooms: Rooms, scope: Scope, tenant: str) -> int | None:
    return (await rooms.tenants.get(scope, tenant)).id if tenant else None


def _amounts(counts: Counts) -> Amounts:
    return Amounts(
        **{measure.value: getattr(counts, measure.value) for measure in Measure},
        delay_p50_ms=counts.delay_at(0.5),
        delay_p95_ms=counts.delay_at(0.95),
        delay_mean_ms=counts.mean_delay,
    )


HANDLERS: Final[list[Any]] = [series, top]
