"""Usage: limits and how far they are used, and what was sent, by day and by what it was; of a tenant or of the box.

Limits are counted by the processes that accept mail (mta/policy/limits.py), days of statistics in UTC, as limits.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get

from admin_ui.api.guard import RIGHT
from admin_ui.console.reasons import last_days
from admin_ui.console.sender_health import bounced
from admin_ui.console.sent import days_chart, failed
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.rights import Right
from appliance.statistics import OVERFLOW, Counts, Dimension, Measure, Period
from mta.policy.limits import day_key, hour_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.credentials import CredentialRecord
    from appliance.statistics import Point, Ranked

_MOST: Final = 10
_CREDENTIALS: Final = 50
_DAYS: Final = {"7": 7, "30": 30}
_NAMES: Final = {"7": "7 days", "30": "30 days", "month": "This month"}
_PERIODS: Final = {"7": "the last 7 days", "30": "the last 30 days", "month": "this month"}
_UNNAMED: Final = {
    Dimension.DOMAIN: "No From domain",
    Dimension.PROVIDER: "Not tried",
    Dimension.TAG: "No tag",
    Dimension.TENANT: "The box itself",
}
_TITLES: Final = {
    Dimension.TENANT: "By tenant",
    Dimension.DOMAIN: "By domain of the sender",
    Dimension.PROVIDER: "By receiver",
    Dimension.TAG: "By tag",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A limit, and how far it is used."""

    used: int
    limit: int  # 0: none

    @property
    def share(self) -> float:
        """From 0 to 1 and more."""
        return self.used / self.limit if self.limit else 0.0

    @property
    def kind(self) -> str:
        """Of its meter: amber from where the tenant is told, red when nothing is left."""
        return "bad" if self.share >= 1 else "look" if self.share >= 0.8 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A credential with its limits."""

    credential: CredentialRecord
    hour: Used
    day: Used


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value of it."""

    name: str
    counts: Counts

    @property
    def bounced(self) -> int:
        """Recipients that were refused for good."""
        return bounced(self.counts)

    @property
    def tried(self) -> int:
        """Recipients of whom a receiver said the last word."""
        return self.counts.delivered + self.bounced

    @property
    def attempts(self) -> int:
        """That were answered."""
        return self.tried + self.counts.deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What was sent, by one thing."""

    title: str
    rows: tuple[Row, ...]


@get("/usage", opt={RIGHT: Right.STATISTICS_READ})
async def usage(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The page."""
    said = visit.request.query_params.get("period", "")
    chosen = said if said in _NAMES else "month"
    now, scope = visit.stage.now(), visit.scope
    period = period_of(chosen, now)
    points, today, limit, logins, rankings = await asyncio.gather(
        rooms.statistics.series(scope, period),
        rooms.statistics.totals(scope, Period(since=now, until=now + 1)),
        limit_of(rooms, visit),
        _logins(rooms, visit, now),
        _rankings(rooms, visit, period),
    )
    return await visit.page(
        "usage.html",
        words=_PERIODS[chosen],
        chips=[[f"/usage?period={one}", name, None, one == chosen] for one, name in _NAMES.items()],
        chart=days_chart(points),
        sums=_sums(points),
        today=Used(used=today.accepted, limit=limit),
        resets=now - now % clock.DAY + clock.DAY,
        logins=logins,
        rankings=rankings,
    )


def period_of(chosen: str, now: int) -> Period:
    """Some days up to today, or this month; days are those of UTC."""
    days = _DAYS.get(chosen) or clock.aware(now).day
    return last_days(now, days)


def _sums(points: Sequence[Point]) -> dict[str, int]:
    counts = [one.counts for one in points]
    return {
        "accepted": sum(one.accepted for one in counts),
        "delivered": sum(one.delivered for one in counts),
        "failed": sum(failed(one) for one in counts),
        "complained": sum(one.complained for one in counts),
    }


async def limit_of(rooms: Rooms, visit: Visit) -> int:
    """Recipients a day that the tenant may write to; 0: no limit."""
    if visit.scope.tenant_id is None:
        return 0
    return (await rooms.tenants.by_id(visit.scope, visit.scope.tenant_id)).recipients_per_day


async def _logins(rooms: Rooms, visit: Visit, now: int) -> list[Login]:
    """The credentials of a tenant, with what is taken of their limits."""
    if visit.is_box or not visit.may(Right.CREDENTIALS_READ):
        return []
    found = await rooms.credentials.page(visit.scope, limit=_CREDENTIALS)
    hour, day = now - now % clock.HOUR, now - now % clock.DAY
    keys = [key for one in found for key in (hour_key(one.id), day_key(one.id))]
    used = await rooms.budgets.used_in(keys, {hour, day})
    return [
        Login(
            credential=one,
            hour=Used(
                used=used.get((hour_key(one.id), hour), 0), limit=one.policy.recipients_per_hour
            ),
            day=Used(used=used.get((day_key(one.id), day), 0), limit=one.policy.recipients_per_day),
        )
        for one in found
    ]


async def _rankings(rooms: Rooms, visit: Visit, period: Period) -> list[Ranking]:
    dimensions = [one for one in _TITLES if one is not Dimension.TENANT or visit.is_box]
    found = await asyncio.gather(
        *(
            rooms.statistics.top(visit.scope, period, one, order=Measure.DELIVERED, limit=_MOST)
            for one in dimensions
        )
    )
    names = {}
    if visit.is_box:
        ids = {int(one.value) for one in found[0] if one.value.isdecimal()}
        names = {str(n): name for n, name in (await rooms.tenants.names(visit.scope, ids)).items()}
    return [
        _ranking(dimension, ranked, names if dimension is Dimension.TENANT else {})
        for dimension, ranked in zip(dimensions, found, strict=True)
    ]


def _ranking(dimension: Dimension, ranked: Sequence[Ranked], names: dict[str, str]) -> Ranking:
    unnamed = {"": _UNNAMED[dimension], OVERFLOW: "All others", "0": _UNNAMED[dimension]}
    known = {**(unnamed if dimension is Dimension.TENANT else unnamed | {"0": "0"}), **names}
    shown = str.capitalize if dimension is Dimension.PROVIDER else str
    rows = (Row(name=known.get(one.value, shown(one.value)), counts=one.counts) for one in ranked)
    return Ranking(title=_TITLES[dimension], rows=tuple(one for one in rows if one.attempts))


HANDLERS: Final[list[Any]] = [usage]
