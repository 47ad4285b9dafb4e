"""The clock: the only place that asks the machine for the time.

Stored times are integers, milliseconds since the epoch in UTC. Durations inside a process are
measured with the monotonic clock, which a clock step does not move.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now_ms() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds on a clock that never steps."""
    return time.monotonic()


def aware(ms: int) -> datetime:
    """A stored time as an aware datetime in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """A stored time as people and JSON read it: 2026-11-20T10:00:00.123Z."""
    return aware(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def from_datetime(value: datetime) -> int:
    """An aware datetime as stored time. Raises ValueError when the zone is missing."""
    if value.tzinfo is None:
        raise ValueError(
            "the time has no zone: write it with an offset, as 2026-11-20T10:00:00+01:00"
        )
    return int(value.timestamp() * 1000)


def zone(name: str) -> tzinfo:
    """A time zone by its name, such as Europe/Berlin. Raises ValueError."""
    if name == "UTC":
        return UTC  # also on a machine without a time zone database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(
            f"no time zone is named {name!r}: write it as in Europe/Berlin, or UTC"
        ) from error
