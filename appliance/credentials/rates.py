"""Rates: how many recipients a credential usually has in a busy hour, pure (MTA-3).

    usual rate = the busiest hour of each of the last 14 days, of these days the 80th percentile

A percentile over the hours themselves would call a digest at eight each morning a surge: it is one
active hour in 24. By days, what happens every day is usual, and so is what happens on 4 days of 14 (a
mailing twice a week); up to 3 odd days, a leaked password among them, teach nothing.
Mail that was held is not counted, so no day teaches more than what passes as usual (mta.policy.limits
.SURGE times the rate): a sender who grows is followed within days, without anybody's help.
Never says a rate for little: below 24 active hours nothing is known, and nothing is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED: Final = 14 * clock.DAY
MIN_ACTIVE_HOURS: Final = 24
FLOOR: Final = 100
"""A usual rate is at least this: 500 recipients an hour are no incident worth waking anybody for."""

_NEWS: Final = 10  # per cent


def hour_of(at: int) -> int:
    """The start of the UTC hour, the one that the surge hold counts in as well."""
    return at - at % clock.HOUR


def usual_rate(hours: Mapping[int, int]) -> int:
    """Recipients of a usual busy hour, from recipients by hour; 0 when too little is known."""
    active = {hour: recipients for hour, recipients in hours.items() if recipients > 0}
    if len(active) < MIN_ACTIVE_HOURS:
        return 0
    peaks: dict[int, int] = {}
    for hour, recipients in active.items():
        day = hour // clock.DAY
        peaks[day] = max(peaks.get(day, 0), recipients)
    ranked = sorted(peaks.values())
    return max(FLOOR, ranked[(len(ranked) - 1) * 4 // 5])


def is_news(old: int, new: int) -> bool:
    """Whether a rate is worth telling every process: learned, and off the old one by more than 10 %.

    Who sends too little to say a rate keeps the one that was known: a login that has gone quiet is
    the one whose theft nobody notices.
    """
    return new > 0 and abs(new - old) * 100 > old * _NEWS
