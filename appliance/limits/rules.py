"""Rules of limits, pure: which window a moment falls into, and what is kept longer than others."""

from __future__ import annotations

from typing import Final

from appliance.core import clock

FAILURE_WINDOW: Final = clock.MINUTE
FAILURE_MEMORY: Final = 10 * clock.MINUTE
"""A failed login counts for so long, as in mta/submission/failures.py."""

KEPT_LONGER: Final = ("warmup:",)
"""Budgets by how their key begins that outlast the others: a clock that was set wrong for a while must
not make the box forget what it sent today."""


def failure_window(now: int) -> int:
    """The minute a failure is counted in."""
    return now - now % FAILURE_WINDOW


def oldest_failure_window(now: int) -> int:
    """The oldest minute that still counts."""
    return failure_window(now) - FAILURE_MEMORY + FAILURE_WINDOW
