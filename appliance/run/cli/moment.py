"""Moment: a time, or a duration, as people type it on a command line; pure.

2026-11-20    2026-11-20T10:00    2026-11-20T10:00:00+01:00        UTC where no zone is said
90s   30min   2h   3d   1w                                         so long ago; or so long
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from appliance.core import clock
from appliance.core.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)(?: ago)?")
_LENGTH: Final = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_UNITS: Final = {
    "s": clock.SECOND,
    "m": clock.MINUTE,
    "min": clock.MINUTE,
    "h": clock.HOUR,
    "d": clock.DAY,
    "w": 7 * clock.DAY,
}


def duration(text: str) -> int:
    """So long, in ms; 0 for an empty text. Raises UsageError in words."""
    wanted = text.strip()
    if not wanted:
        return 0
    found = _LENGTH.fullmatch(wanted)
    if found is None or not int(found.group(1)):
        raise UsageError(f"{text!r} is no duration: write 90s, 30min, 2h, 3d or 1w")
    return int(found.group(1)) * _UNITS[found.group(2)]


def moment(text: str, now: int) -> int:
    """The time in ms; 0 for an empty text. Raises UsageError in words."""
    wanted = text.strip()
    if not wanted:
        return 0
    ago = _AGO.fullmatch(wanted)
    if ago is not None:
        return max(1, now - int(ago.group(1)) * _UNITS[ago.group(2)])
    try:
        found = datetime.fromisoformat(wanted)
        return max(1, clock.from_datetime(found if found.tzinfo else found.replace(tzinfo=UTC)))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is no time: write 2026-11-20, 2026-11-20T10:00 (UTC), or 2h for two hours ago"
        ) from error
