"""Day: windows of the configured zone, which of them a send is charged to, and how much is open by now; pure.

A window is a day from midnight to midnight (23, 24 or 25 hours long) or an hour. Its budget must hold
whatever clocks do, so a send is charged to every window it may fall into:

- RCPT may go out as late as GUARD after it was reserved (the receiver may take that long to answer what
  goes before it), so shortly before midnight a send is charged to tomorrow as well;
- the wall clock may be stepped. `steady` is the time as it would be without the step
  (appliance.core.steady), and its window is charged too: a clock set forward opens no second budget while
  the real day lasts, and one set back finds the older day used as it left it, and charges the newer one
  on: that was this very day a moment ago, and may be again.

The price is a little of the next window's budget, never one message too many.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import ConfigError
from mta.status import TrafficClass
from mta.warmup.model import Window

if TYPE_CHECKING:
    from datetime import tzinfo

    from mta.warmup.model import WarmupPlan

GUARD: Final = 310 * clock.SECOND
"""RFC 5321 4.5.3.2.2: MAIL may be answered after 300 s; then comes RCPT."""

SAME: Final = 2 * clock.SECOND
"""Clocks that differ by less were read one after the other, or are being slewed; GUARD has room for it."""

LEAD: Final = 15 * clock.MINUTE
"""Bulk mail may be so far ahead of the day: a hundredth of its budget is open when it begins.

With an hour of lead every address began every day with a burst that receivers deferred
(bench/warmup_sim.py)."""

_AN_HOUR: Final = 2 * clock.HOUR  # shorter windows are hours
_LATE: Final = 0.75  # of the window; from here on the reserve opens to bulk mail too
_REMEMBERED: Final = 8


def zone_of(name: str) -> tzinfo:
    """The configured zone. Raises ConfigError."""
    try:
        return clock.zone(name)
    except ValueError as error:
        raise ConfigError(f"warmup.timezone: {error}") from error


def day_of(at: int, zone: tzinfo) -> str:
    """The day of a moment, as days are named everywhere: 2026-11-20."""
    return clock.aware(at).astimezone(zone).date().isoformat()


def next_day(day: str, days: int = 1) -> str:
    """The day after (or so many after, or before)."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def days_between(first: str, last: str) -> int:
    """How many days `last` comes after `first`."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def window_of_day(day: str, zone: tzinfo) -> Window:
    """From midnight to midnight. A midnight that is skipped is the moment that comes instead."""
    return Window(_midnight(day, zone), _midnight(next_day(day), zone))


def _midnight(day: str, zone: tzinfo) -> int:
    return clock.from_datetime(datetime.combine(date.fromisoformat(day), time.min, zone))


class Calendar:
    """Windows of one zone; remembers the latest days, for they are asked at every send."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._days: list[Window] = []

    def window(self, at: int, *, is_hourly: bool) -> Window:
        """The window a moment lies in. Hours are those of UTC, also in a zone of half hours."""
        if is_hourly:
            start = at - at % clock.HOUR
            return Window(start, start + clock.HOUR)
        for known in self._days:
            if known.start <= at < known.end:
                return known
        found = window_of_day(day_of(at, self.zone), self.zone)
        self._days = [found, *self._days[: _REMEMBERED - 1]]
        return found


@dataclass(frozen=True, slots=True)
class Charge:
    """A window that a send is charged to, and what the clock that it goes by says now."""

    window: Window
    at: int


def charges(
    calendar: Calendar, wall: int, steady: int, *, is_hourly: bool, guard: int = GUARD
) -> tuple[Charge, ...]:
    """Every window that what is reserved now may fall into, the earliest first."""
    if abs(wall - steady) < SAME:
        steady = wall
        window = calendar.window(wall, is_hourly=is_hourly)
        if wall + guard < window.end:  # nearly always
            return (Charge(window, wall),)
    found: dict[int, Charge] = {}
    for at in sorted((wall, steady)):  # the clock that is behind opens less: it counts
        for moment in (at, at + guard):
            window = calendar.window(moment, is_hourly=is_hourly)
            found.setdefault(window.start, Charge(window, at))
    return tuple(found[start] for start in sorted(found))


def allowed(plan: WarmupPlan, charge: Charge, traffic_class: TrafficClass) -> int:
    """How much of a window may be used before mail of the class must wait."""
    if traffic_class is TrafficClass.BULK:
        return open_for_bulk(plan.limit, charge, plan.reserve)
    return plan.limit


def open_for_bulk(limit: int, charge: Charge, reserve: float) -> int:
    """How much of the limit may be used by now for bulk mail to go on.

    Over a day it opens evenly, LEAD ahead; within an hour at once. The reserve opens in the last
    quarter: a sender of bulk mail alone can use everything, one of receipts is never late for it.
    """
    window = charge.window
    return _open(limit, reserve, charge.at - window.start, window.end - window.start)


def _open(limit: int, reserve: float, passed: int, length: int) -> int:
    if length > _AN_HOUR:
        share = even = (max(0, passed) + LEAD) / length
    else:
        share, even = max(0, passed) / length, 1.0
    if share >= 1.0:
        return limit
    late = max(0.0, (share - _LATE) / (1.0 - _LATE))
    return min(limit, max(1, int(limit * ((1.0 - reserve) * even + reserve * late))))


def opens_at(limit: int, charge: Charge, reserve: float, used: int) -> int:
    """When bulk mail may use one more than `used`, by the charge's clock; the window's end if never."""
    start, length = charge.window.start, charge.window.end - charge.window.start
    low, high = max(charge.at - start, 0), length
    guess = _guess(limit, length, reserve, used)
    if low < guess and _open(limit, reserve, guess - 1, length) <= used:
        low = guess
    if guess < high and _open(limit, reserve, guess + 1, length) > used:
        high = guess + 1
    while low < high:  # what is open only grows, so this finds the first moment
        middle = (low + high) // 2
        if _open(limit, reserve, middle, length) > used:
            high = middle
        else:
            low = middle + 1
    return start + low


def _guess(limit: int, length: int, reserve: float, used: int) -> int:
    """About when one more than `used` is open: the inverse of `_open`, without its rounding."""
    share = (used + 1) / limit if limit else 1.0
    late = (share * (1.0 - _LATE) + reserve * _LATE) / ((1.0 - reserve) * (1.0 - _LATE) + reserve)
    early = share / (1.0 - reserve)
    at = early if early <= _LATE else late
    return min(length, max(1, int(at * length) - (LEAD if length > _AN_HOUR else 0)))
