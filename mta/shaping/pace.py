"""Pace: when the next message or connection may go at a rate; pure.

The generic cell rate algorithm: one number (the time at which everything taken so far is paid for)
instead of a list of the past. One second's worth may go at once; what is slower than one a second is
strictly spaced. Several processes share one limit, each paces its share of it.

Promises: in any time T no more goes than one second's worth (at least one) and T x rate; after the
rate was changed, or the clock set back, nobody waits longer than a burst at the new rate takes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mta.shaping.model import Rate

_BURST: Final = 1000.0
"""Milliseconds whose worth may go at once."""


class Pace:
    """Mutable on purpose: asked before every message. Without a rate it never makes anybody wait."""

    __slots__ = ("_burst", "_interval", "_paid_at", "_slack")

    def __init__(self, rate: Rate | None = None, share: float = 1.0) -> None:
        self._interval = 0.0  # milliseconds that one takes
        self._burst = 0.0  # as far ahead of the clock as may be taken
        self._slack = 0.0  # of it, what is left for the next one: burst - interval
        self._paid_at = 0.0
        self.set_rate(rate, 0, share)

    def ready_at(self, now: int) -> int:
        """When the next may go; `now` if at once."""
        if self._paid_at - self._slack <= now:
            return now
        # More than a burst is owed only when the clock was set back.
        self._paid_at = min(self._paid_at, now + self._burst)
        return max(now, math.ceil(self._paid_at - self._slack))

    def owes(self, now: int) -> bool:
        """Whether anything taken so far is not paid for: then it must not be forgotten."""
        return self._paid_at > now

    def take(self, now: int) -> None:
        """One goes now."""
        self._paid_at = max(self._paid_at, now) + self._interval

    def set_rate(self, rate: Rate | None, now: int, share: float = 1.0) -> None:
        """From now on at another rate: what is owed is owed in messages, at most a burst of them."""
        owed = (self._paid_at - now) / self._interval if self._interval else 0.0
        self._interval = 1000.0 / (rate.per_second * share) if rate is not None else 0.0
        self._burst = max(self._interval, _BURST) if rate is not None else 0.0
        self._slack = self._burst - self._interval
        self._paid_at = now + min(max(owed, 0.0) * self._interval, self._burst)
