"""Sessions: the open SMTP sessions of one process, their limits, their clock and their end.

One timer looks after the time-outs of all sessions (a timer of its own for each command of each
session costs 2 µs a command). `drain()` is how a process stops: idle sessions hear 421 4.3.2 and are
closed, sessions in DATA may finish until the deadline, then what is left is cut.

Refuses by raising Refused (421 4.7.0 over a limit, 421 4.3.2 while draining). Counts are plain
integers for the metrics to read.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mta.policy.refusal import Refused


class Session(Protocol):
    """What the clock needs of a session."""

    def check_time(self, now: float) -> None:
        """End the session when it was silent or open for too long."""

    def retire(self) -> None:
        """End the session now when it is idle, else when its message is done."""

    def abort(self) -> None:
        """Cut the connection."""


class Sessions:
    """The open sessions of all listeners that share one limit."""

    def __init__(self, *, limit: int, per_address: int) -> None:
        self.opened = 0
        self.refused = 0
        self._limit, self._per_address = limit, per_address
        self._open: dict[Session, str] = {}
        self._by_address: dict[str, int] = {}
        self._draining = False
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open(self) -> int:
        """Sessions open now."""
        return len(self._open)

    @property
    def is_draining(self) -> bool:
        """True once the process is stopping."""
        return self._draining

    def open_from(self, address: str) -> int:
        """Sessions open now from one address."""
        return self._by_address.get(address, 0)

    def enter(self, session: Session, address: str) -> None:
        """Count a session in, or raise Refused."""
        mine = self._by_address.get(address, 0)
        refusal = self._refusal(address, mine)
        if refusal is not None:
            self.refused += 1
            raise refusal
        self._open[session] = address
        self._by_address[address] = mine + 1
        self.opened += 1

    def _refusal(self, address: str, mine: int) -> Refused | None:
        if self._draining:
            return Refused(421, "4.3.2", "the service is stopping; try again in a moment")
        if len(self._open) >= self._limit:
            return Refused(421, "4.7.0", "too many sessions; try again later")
        if mine >= self._per_address:
            return Refused(421, "4.7.0", f"too many sessions from {address}; close some first")
        return None

    def leave(self, session: Session) -> None:
        """Count a session out; one that is not in is ignored."""
        address = self._open.pop(session, None)
        if address is None:
            return
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]
        if not self._open:
            self._empty.set()

    def start_clock(self, period: float) -> None:
        """Look after time-outs every `period` seconds, until `stop_clock()`."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(period, self._tick, loop, period)

    def stop_clock(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop, period: float) -> None:
        self._timer = loop.call_later(period, self._tick, loop, period)
        now = loop.time()
        for session in list(self._open):
            session.check_time(now)

    async def drain(self, seconds: float) -> bool:
        """End all sessions; False when some had to be cut at the deadline."""
        self._draining = True
        for session in list(self._open):
            session.retire()
        if not self._open:
            return True
        self._empty.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for session in list(self._open):
                session.abort()
            return False
        return True
