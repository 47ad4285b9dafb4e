"""Concurrency: how many transactions run at once, so that one more message gets through quickly.

A thousand connections that all have work make each step of each message wait for a step of all the
others: a receipt takes seconds through a process full of bulk mail, though it is the next to be sent.
So where the event loop comes late, fewer transactions run at once. That costs no rate: what is late is
the CPU, and it is as busy with fewer (Little's law). Receivers that are slow make nothing late, and
lower nothing; while turns are waited for and nothing is late, the limit rises. Lanes that wait get
their turns in fair order, transactional mail first.

Promises: never fewer than LEAST, so that mail goes out while something else keeps the process busy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from mta.scheduling.line import Line

if TYPE_CHECKING:
    from mta.scheduling.lane import Lane

LEAST: Final = 100
LATE: Final = 0.04
ON_TIME: Final = 0.02
"""Seconds. A message takes some ten steps from its client to its receiver."""

_LOOK: Final = 0.05


class Concurrency:
    """The transactions of one sender."""

    def __init__(self, most: int) -> None:
        self._most, self._line = most, Line()
        self._turns: dict[Lane, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.limit = float(min(LEAST, most))
        self.running = 0

    async def enter(self, lane: Lane) -> bool:
        """Get a turn to send what is first in the lane; whether there was a wait for it.

        Whoever has had one must `leave`.
        """
        if self.running < self.limit and not self._turns:
            self._begin()
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(lane, deque()).append(turn)
        self._line.join(lane, self._give_turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.leave()  # the turn came in the same moment
            raise
        return True

    def leave(self) -> None:
        """A transaction is over: the next ones may begin."""
        self.running -= 1
        self._go_on()

    def waits(self, lane: Lane) -> bool:
        """Whether a connection of the lane waits for its turn; what is urgent by now moves it forward."""
        if lane not in self._turns:
            return False
        self._line.join(lane, self._give_turn)
        return True

    def came(self, late: float) -> None:
        """The event loop came so many seconds late."""
        if late > LATE:
            self.limit = max(min(LEAST, self._most), min(self.limit, self.running) * 0.8)
        elif late < ON_TIME and self._turns:
            self.limit = min(self._most, self.limit * 1.05 + 1)
            self._go_on()

    def _go_on(self) -> None:
        while self.running < self.limit and (found := self._line.pop()) is not None:
            self._give_turn(found[0])

    def _give_turn(self, lane: Lane) -> bool:
        """To the next connection of a lane that waits; if others of it do too, it lines up again."""
        turns = self._turns.pop(lane, deque())
        turn = turns.popleft() if turns else None
        if turns:
            self._turns[lane] = turns
            self._line.join(lane, self._give_turn)
        if turn is None or turn.done():
            return False
        self._begin()
        turn.set_result(None)
        return True

    def _begin(self) -> None:
        self.running += 1
        if self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK, self._look, loop.time() + _LOOK)

    def _look(self, expected: float) -> None:
        self._timer = None
        if self.running:
            self._look_later()
        self.came(asyncio.get_running_loop().time() - expected)
