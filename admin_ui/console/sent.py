"""Sent: what was sent, as charts: a day by the hour beside the day before, days of a period. Pure.

    today = today_of(points, now, zone)     points of two days by the hour (two_days(now, zone))
    chart = days_chart(points)

Each count stands under the time of what happened: a message of 10:59 that arrived at 11:01 was accepted in one
hour and delivered in the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from admin_ui.console.charts import Chart, Kind, Plot, Series, Tone, draw
from admin_ui.console.words import local, number
from appliance.core import clock
from appliance.statistics import Counts, Period, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, tzinfo

    from appliance.statistics import Point

_HOURS: Final = 24
NOBODY: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """A day as far as it is over."""

    accepted: int
    delivered: int
    failed: int  # bounced, expired, suppressed
    complained: int
    change: (
        float | None
    )  # of what was accepted in whole hours, against the day before; None: no mail then
    chart: Chart

    @property
    def against(self) -> str:
        """The change in words."""
        if self.change is None:
            return "none yesterday by now"
        return f"{self.change:+.0%} on yesterday".replace("%", " %")


def failed(counts: Counts) -> int:
    """Recipients that came to no good end."""
    return counts.bounced_hard + counts.bounced_soft + counts.expired + counts.suppressed


def two_days(now: int, zone: tzinfo) -> Period:
    """Yesterday and today on the clock of the page, by the hour."""
    yesterday = local(now, zone).date() - timedelta(days=1)
    since = clock.from_datetime(datetime.combine(yesterday, time.min, zone))
    return Period(since=since, until=now + 1, step=Step.HOUR)


def today_of(
    points: Iterable[Point], now: int, zone: tzinfo, waiting: Mapping[int, int] = NOBODY
) -> Today:
    """The day of `now`; `points` as two_days asks for them, `waiting` as LogReader.waiting tells it."""
    here = local(now, zone)
    hours: dict[date, list[Counts]] = {}
    for point in points:
        at = local(point.at, zone)
        day = hours.setdefault(at.date(), [Counts()] * _HOURS)
        day[at.hour] = point.counts
    none = [Counts()] * _HOURS
    today = hours.get(here.date(), none)
    before = hours.get(here.date() - timedelta(days=1), none)
    return Today(
        accepted=sum(one.accepted for one in today),
        delivered=sum(one.delivered for one in today),
        failed=sum(failed(one) for one in today),
        complained=sum(one.complained for one in today),
        change=_change(today[: here.hour], before[: here.hour]),
        chart=_day_chart(today, before, here.hour, _waiting_of(waiting, now, zone)),
    )


def _change(today: Sequence[Counts], before: Sequence[Counts]) -> float | None:
    now, then = (sum(one.accepted for one in hours) for hours in (today, before))
    return (now - then) / then if then else None


def _waiting_of(waiting: Mapping[int, int], now: int, zone: tzinfo) -> tuple[int, ...]:
    """Of each hour of today what was accepted in it and has not left yet."""
    hours, today = [0] * _HOURS, local(now, zone).date()
    for at, count in waiting.items():
        here = local(at, zone)
        if here.date() == today:
            hours[here.hour] += count
    return tuple(hours)


def _day_chart(
    today: Sequence[Counts], before: Sequence[Counts], hour: int, waiting: tuple[int, ...]
) -> Chart:
    delivered = tuple(one.delivered for one in today)
    bad = tuple(failed(one) for one in today)
    yesterday = tuple(one.delivered for one in before)
    later = (None,) * (_HOURS - hour - 1)
    is_none = not any((*delivered, *bad, *yesterday, *waiting))
    names = tuple(f"{at:02}:00" for at in range(_HOURS))
    best = max(range(_HOURS), key=lambda at: delivered[at])
    finding = (
        f"Today {number(sum(delivered))} messages were delivered and {number(sum(bad))} failed;"
        f" most came to their end at {names[best]}."
        + (f" {number(sum(waiting))} wait." if any(waiting) else "")
    )
    bars = (
        Series(name="Delivered", tone=Tone.DONE, values=delivered[: hour + 1] + later, in_legend=False),
        Series(name="Waiting", tone=Tone.WAITING, values=waiting[: hour + 1] + later, in_legend=False),
        Series(name="Bounced, suppressed", tone=Tone.FAILED, values=bad[: hour + 1] + later, in_legend=False),
    )  # fmt: skip
    line = Series(
        name="Yesterday, delivered", kind=Kind.DASHED, tone=Tone.COMPARISON, values=yesterday
    )
    return draw(
        Plot(
            finding=finding,
            labels=tuple(f"{at:02}" for at in range(_HOURS)),
            names=names,
            series=() if is_none else (*bars, *((line,) if any(yesterday) else ())),
            column="Hour",
            now=hour,
            so_far="This hour so far",
            empty="Nothing was sent today or yesterday.",
        )
    )


def days_chart(points: Sequence[Point], *, height: int = 224) -> Chart:
    """Days, which are those of UTC as they are counted; the last is not over."""
    days = [local(one.at, UTC) for one in points]
    delivered = tuple(one.counts.delivered for one in points)
    bad = tuple(failed(one.counts) for one in points)
    is_none = not any(delivered) and not any(bad)
    return draw(
        Plot(
            finding=(
                f"In {len(points)} days {number(sum(delivered))} messages were delivered"
                f" and {number(sum(bad))} failed."
            ),
            labels=tuple(f"{day.day} {day:%b}" for day in days),
            series=()
            if is_none
            else (
                Series(name="Delivered", tone=Tone.DONE, values=delivered),
                Series(name="Bounced, suppressed", tone=Tone.FAILED, values=bad),
            ),
            column="Day",
            now=len(points) - 1,
            so_far="Today so far",
            height=height,
            empty="Nothing was sent in these days.",
        )
    )
