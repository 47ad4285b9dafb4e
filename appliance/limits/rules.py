"""Rules of limits, pure: which window a moment falls into."""

from __future__ import annotations

from typing import Final

from appliance.core import clock

FAILURE_WINDOW: Final = clock.MINUTE
FAILURE_MEMORY: Final = 10 * clock.MINUTE
"""A failed login counts for so long, as in mta/submission/failures.py."""


def failure_window(now: int) -> int:
    """The minute a failure is counted in."""
    return now - now % FAILURE_WINDOW


def oldest_failure_window(now: int) -> int:
    """The oldest minute that still counts."""
    return failure_window(now) - FAILURE_MEMORY + FAILURE_WINDOW
