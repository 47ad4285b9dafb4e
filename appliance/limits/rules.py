"""Rules of limits, pure: who is granted what, which window a moment falls into, what is kept longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILURE_WINDOW: Final = clock.MINUTE
FAILURE_MEMORY: Final = 10 * clock.MINUTE
"""A failed login counts for so long, as in mta/submission/failures.py."""

KEPT_LONGER: Final = ("warmup:",)
"""Budgets by how their key begins that outlast the others: a clock that was set wrong for a while must
not make the box forget what it sent today."""


class Ask(NamedTuple):
    """Somebody wants up to `amount` of the window of a budget that began then."""

    key: str
    window: int
    amount: int
    limit: int

    @property
    def budget(self) -> tuple[str, int]:
        """Which one."""
        return self.key, self.window


def share_out(asks: Sequence[Ask], used: dict[tuple[str, int], int]) -> list[int]:
    """What each is granted, in the order they asked; `used` is counted on."""
    granted = []
    for ask in asks:
        before = used[ask.budget]
        granted.append(max(0, min(ask.amount, ask.limit - before)))
        used[ask.budget] = before + granted[-1]
    return granted


def failure_window(now: int) -> int:
    """The minute a failure is counted in."""
    return now - now % FAILURE_WINDOW


def oldest_failure_window(now: int) -> int:
    """The oldest minute that still counts."""
    return failure_window(now) - FAILURE_MEMORY + FAILURE_WINDOW
