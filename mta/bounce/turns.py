"""Turns: which notice is read next.

Those never tried come first, oldest first; those that were put off come again in rounds, with a pause in
between. Both take turns in batches, so that neither a flood of new ones nor a heap of old ones stops the
others. Only marks in the order of arrival are kept, however many wait.

A clock that was set back makes new notices look like old ones: then they are read in the rounds, too.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

from mta.bounce.dropbox import arrived_at

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE: Final = 1000
_Age = tuple[int, str]
_START: Final[_Age] = (-1, "")


class Turns:
    """The order of the notices that wait."""

    def __init__(
        self,
        waiting: Callable[[], list[str]],
        now: Callable[[], int],
        begin_round: Callable[[], None],
    ) -> None:
        """`waiting` lists the ids and may block; `begin_round` is told when those put off come again."""
        self._waiting, self._now, self._begin_round = waiting, now, begin_round
        self._new: deque[str] = deque()
        self._old: deque[str] = deque()
        self._must_look = False
        self._tried = _START  # up to here every notice has had its first turn
        self._again = self._round_end = _START  # from here to there the round goes on
        self._pause = range(0)  # the time in which no round begins
        self.is_again = False
        """Whether the notice that has its turn was put off before."""

    async def next(self) -> str | None:
        """The notice whose turn it is; None when there is none now."""
        if not self._new and (self._must_look or not self._old):
            await self._look()
        self.is_again = not self._new
        batch = self._new or self._old
        return batch.popleft() if batch else None

    def put_off(self, pause: int) -> None:
        """The notice that has its turn stays for a round that begins after a pause."""
        if self.is_again or not self._pause:
            self._pause = range(self._now(), self._now() + pause)

    def look_again(self) -> None:
        """This turn takes long: see whether new ones have come before an old one has its turn."""
        self._must_look = True

    async def _look(self) -> None:
        waiting = await asyncio.to_thread(lambda: sorted(self._waiting(), key=_age))
        first = bisect_right(waiting, self._tried, key=_age)
        if not self._old:
            self._old.extend(self._batch_of_round(waiting[:first]))
        self._new.extend(waiting[first : first + _AT_ONCE])
        if self._new:
            self._tried = _age(self._new[-1])
        self._must_look = False

    def _batch_of_round(self, old: list[str]) -> list[str]:
        rest = self._rest_of_round(old)
        # A clock that was set back is not in the pause either.
        if not rest and old and self._now() not in self._pause:
            self._begin_round()
            self._pause, self._round_end = range(0), self._tried
            rest = old
        batch = rest[:_AT_ONCE]
        if batch:
            self._again = _age(batch[-1])
        # One that is itself the cause of a silence must not be the first to ask in every round.
        random.shuffle(batch)
        return batch

    def _rest_of_round(self, old: list[str]) -> list[str]:
        start = bisect_right(old, self._again, key=_age)
        return old[start : bisect_right(old, self._round_end, key=_age)]


def _age(notice_id: str) -> _Age:
    """Sorts by arrival; what somebody else named comes first and moves no mark."""
    return arrived_at(notice_id), notice_id
