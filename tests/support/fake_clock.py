"""A clock that a test sets."""

from __future__ import annotations


class FakeClock:
    """Milliseconds, as `appliance.core.clock.now_ms`."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
