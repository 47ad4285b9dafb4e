"""Failures: how often an address or a user has failed to log in during the last ten minutes.

Counts by the minute, in bounded memory: when a minute holds too many keys its oldest are forgotten.
The processes of a box share what they know through the roof: `drain_deltas()` gives what this one
has seen since the last time, `merge()` takes the totals of all. Between two exchanges, and when the
roof does not answer, each process goes by what it has seen itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW: Final = 10 * clock.MINUTE
MAX_KEYS: Final = 10_000  # in one minute


class FailureLedger(Protocol):
    """Remembers failures for WINDOW."""

    def record(self, key: str) -> None:
        """One more failure."""

    def count(self, key: str) -> int:
        """Failures within the window."""


class LocalLedger:
    """The ledger of one process."""

    def __init__(self, *, now: Callable[[], int] = clock.now_ms, max_keys: int = MAX_KEYS) -> None:
        self._now, self._max_keys = now, max_keys
        self._minutes: dict[int, dict[str, int]] = {}
        self._deltas: dict[str, int] = {}
        self._totals: Mapping[str, int] = {}
        self._totals_until = 0

    def record(self, key: str) -> None:
        """One more failure."""
        minute = self._now() // clock.MINUTE
        if minute not in self._minutes:
            self._minutes = {at: keys for at, keys in self._minutes.items() if self._is_recent(at)}
            self._minutes[minute] = {}
        _bump(self._minutes[minute], key, self._max_keys)
        _bump(self._deltas, key, self._max_keys)

    def count(self, key: str) -> int:
        """The greater of what this process saw and what all have told."""
        mine = sum(
            keys.get(key, 0) for minute, keys in self._minutes.items() if self._is_recent(minute)
        )
        if self._now() >= self._totals_until:
            return mine
        return max(mine, self._totals.get(key, 0) + self._deltas.get(key, 0))

    def drain_deltas(self) -> dict[str, int]:
        """Failures since the last call, by key."""
        deltas, self._deltas = self._deltas, {}
        return deltas

    def merge(self, totals: Mapping[str, int]) -> None:
        """Failures of all processes within the window, this one's drained ones included."""
        self._totals = totals
        self._totals_until = self._now() + WINDOW

    def _is_recent(self, minute: int) -> bool:
        return minute > (self._now() - WINDOW) // clock.MINUTE


def _bump(counts: dict[str, int], key: str, max_keys: int) -> None:
    if key not in counts and len(counts) >= max_keys:
        del counts[next(iter(counts))]
    counts[key] = counts.get(key, 0) + 1
