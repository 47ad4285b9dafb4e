"""Days: which partition of the log a message belongs to; pure.

A day is the number of days since 1970 (UTC). Ids rise with time, so a day is a range of ids.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from appliance.core.clock import DAY, aware
from appliance.core.ids import first_at, time_of


def day_of(message_id: int) -> int:
    """The day in which the id was made."""
    return time_of(message_id) // DAY


def bounds(day: int) -> tuple[int, int]:
    """The first id of the day and the first of the next."""
    return first_at(day * DAY), first_at((day + 1) * DAY)


def name(day: int) -> str:
    """As files and people have it: 2026-11-20."""
    return aware(day * DAY).strftime("%Y-%m-%d")


def parse(text: str) -> int | None:
    """The day of this name; None when it names none."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    start = datetime(found.year, found.month, found.day, tzinfo=UTC)
    return int(start.timestamp() * 1000) // DAY
