"""Sessions: the open SMTP sessions of one process, their limits, their clock and their end.

A client is an IPv4 address or an IPv6 /64; so many sessions may it have open, and so many open in a
minute that bring nothing (callers.py). When four fifths of all places are taken (`is_crowded`), silent
sessions are given up sooner, so that those who hold places without using them never hold all.

One timer looks after the time-outs of all sessions (a timer of its own for each command of each
session costs 2 µs a command). `drain()` is how a process stops: idle sessions hear 421 4.3.2 and are
closed, sessions in DATA may finish until the deadline, then what is left is cut.

Refuses by raising TurnedAway (421 4.7.0 over a limit, 421 4.3.2 while draining). Counts are plain
integers for the metrics to read.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from mta.policy.refusal import Refused
from mta.submission.callers import Callers
from mta.submission.login import network_of

CROWDED: Final = 0.8  # of all places
MAX_BARREN: Final = 3000  # a minute, where nothing else is said


class TurnedAway(Refused):
    """No session for this client; `is_news` once a minute for each of them."""

    is_news = True


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

    def __init__(self, *, limit: int, per_address: int, barren: int = MAX_BARREN) -> None:
        """`barren`: connections a minute of one client that neither log in nor send."""
        self.opened = 0
        self.refused = 0
        self._limit, self._per_address = limit, per_address
        self._crowd = max(1, int(limit * CROWDED))
        self._open: dict[Session, str] = {}
        self._by_client: dict[str, int] = {}
        self._callers = Callers(barren)
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

    @property
    def is_crowded(self) -> bool:
        """True while most places are taken."""
        return len(self._open) > self._crowd

    def open_from(self, address: str) -> int:
        """Sessions open now from the client at an address."""
        return self._by_client.get(network_of(address), 0)

    def enter(self, session: Session, address: str, now: float) -> None:
        """Count a session in, or raise TurnedAway."""
        client = network_of(address)
        mine = self._by_client.get(client, 0)
        refusal = self._refusal(client, mine, now)
        if refusal is not None:
            self.refused += 1
            refusal.is_news = self._callers.is_news(client)
            raise refusal
        self._open[session] = client
        self._by_client[client] = mine + 1
        self.opened += 1

    def _refusal(self, client: str, mine: int, now: float) -> TurnedAway | None:
        if self._draining:
            return TurnedAway(421, "4.3.2", "the service is stopping; try again in a moment")
        if len(self._open) >= self._limit:
            return TurnedAway(421, "4.7.0", "too many sessions; try again later")
        if mine >= self._per_address:
            return TurnedAway(421, "4.7.0", f"too many sessions from {client}; close some first")
        if not self._callers.take(client, now):
            text = f"too many connections from {client} that bring nothing; wait a minute"
            return TurnedAway(421, "4.7.0", text)
        return None

    def earned(self, session: Session) -> None:
        """The session has logged in or handed over a message: it does not count as barren."""
        client = self._open.get(session)
        if client is not None:
            self._callers.forgive(client)

    def leave(self, session: Session) -> None:
        """Count a session out; one that is not in is ignored."""
        client = self._open.pop(session, None)
        if client is None:
            return
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]
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
