"""Rules of limits, pure: which window a moment falls into."""

from __future__ import annotations

from typing import Final

from appliance.core import clock

FAILURE_WINDOW: Final = 5 * clock.MINUTE
"""Failures are counted in two such windows: over the last five to ten minutes."""


def window_start(now: int, length: int) -> int:
    """When the window that holds `now` began."""
    return now - now % length


def failure_windows(now: int) -> tuple[int, int]:
    """The running window and the one before."""
    current = window_start(now, FAILURE_WINDOW)
    return current, current - FAILURE_WINDOW
