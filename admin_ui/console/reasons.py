"""Reasons: why mail failed for good, counted, with what the box does about each; for pages of bounces.

Counts are the statistics' (a rollup by day and reason), so that a page costs the same at any volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Final

from admin_ui.console.mail import category_words
from appliance.core import clock
from appliance.statistics import Dimension, Measure, Period, Step
from mta.outcome.category import Category

if TYPE_CHECKING:
    from datetime import tzinfo

    from admin_ui.console.stage import Stage
    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.statistics import Counts, Ranked

DAYS: Final = (7, 14, 30)
_MOST: Final = 50  # more than there are categories
_DONE: Final = {
    "hard": "Suppressed at once",
    "mailbox": "Suppressed after 5 in 7 days or more",
    "slowed": "The address slows down, mail is tried again",
    "none": "Not suppressed: it says nothing about the mailbox",
}
_MAILBOX: Final = frozenset(
    {
        Category.USER_UNKNOWN,
        Category.MAILBOX_FULL,
        Category.MAILBOX_DISABLED,
        Category.DOMAIN_UNKNOWN,
    }
)
_SLOWS: Final = frozenset({Category.BLOCKED, Category.RATE_LIMITED, Category.SPAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """One reason with its failures."""

    name: str  # a Category, "" where none was told
    title: str
    hard: int
    soft: int
    expired: int
    done: str

    @property
    def count(self) -> int:
        """Recipients that failed for it."""
        return self.hard + self.soft + self.expired

    @property
    def is_hard(self) -> bool:
        """Whether most of these say that the address is of no use."""
        return self.hard > self.soft + self.expired


async def reasons_of(rooms: Rooms, scope: Scope, stage: Stage, days: int = 30) -> list[ReasonRow]:
    """The reasons of some days, those with most failures first."""
    period = last_days(stage.now(), days)
    ranked = await rooms.statistics.top(
        scope, period, Dimension.REASON, order=Measure.BOUNCED_HARD, limit=_MOST
    )
    rows = [_row(one) for one in ranked]
    return sorted((one for one in rows if one.count), key=lambda one: (-one.count, one.name))


def _row(ranked: Ranked) -> ReasonRow:
    counts, name = ranked.counts, ranked.value
    words = category_words(name) if name else "not told"
    return ReasonRow(
        name=name,
        title=words[0].upper() + words[1:],
        hard=counts.bounced_hard,
        soft=counts.bounced_soft,
        expired=counts.expired,
        done=what_we_do(name, counts),
    )


def what_we_do(name: str, counts: Counts) -> str:
    """In words, as appliance/history/suppress.py does it."""
    if counts.bounced_hard > counts.bounced_soft + counts.expired:
        return _DONE["hard"]
    if name in _SLOWS:
        return _DONE["slowed"]
    return _DONE["mailbox"] if name in _MAILBOX else _DONE["none"]


def last_days(now: int, days: int) -> Period:
    """Whole days of UTC, as they are counted, up to and with today."""
    return Period(since=now - (days - 1) * clock.DAY, until=now + 1, step=Step.DAY)


def day_of(now: int, zone: tzinfo) -> Period:
    """From the zone's midnight up to now, by the hour."""
    midnight = datetime.combine(clock.aware(now).astimezone(zone).date(), time.min, zone)
    since = min(clock.from_datetime(midnight), now - 1)
    return Period(since=since, until=now + 1, step=Step.HOUR)
