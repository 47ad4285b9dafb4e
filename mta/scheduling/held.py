"""Held: mail that was held until its life was over is given up, and its sender told.

Searched for now and then, a page at a time. The ends and the notices that tell of them are one commit;
a notice whose recipients were not all given up after all (a person released one meanwhile) is not stored.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from mta.outcome.record import plain, untried
from mta.scheduling.changes import expiry_of
from mta.scheduling.page import message_in
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.message import Admitted, Message, Recipient
    from mta.scheduling.results import Notices
    from mta.spool.batch import Batch
    from mta.spool.shard import Shard
    from mta.spool.store import Move, SpoolStore

PAGE: Final = 500

LOOK: Final = clock.MINUTE
"""How often held mail is searched for what has expired."""


class Held:
    """Of one shard. `fresh` takes a notice that is stored."""

    def __init__(self, shard: Shard, notices: Notices, fresh: Callable[[Admitted], None]) -> None:
        self._shard, self._notices, self._fresh = shard, notices, fresh
        self._look_at = 0

    async def expire(self, now: int) -> int:
        """Give up what is over; returns how many recipients that was."""
        if now < self._look_at:
            return 0
        found = await self._shard.call(partial(_over, now))
        if not found:
            self._look_at = now + LOOK
            return 0
        ends = [self._end(message, people, now) for message, people in found]
        count, notices = await self._shard.call(partial(_give_up, ends))
        for notice in notices:
            self._fresh(notice)
        return count

    def _end(self, message: Message | None, people: list[Recipient], now: int) -> _End:
        """The ends of one message's recipients, and the notice of them."""
        moves = [expiry_of(recipient, now) for recipient in people]
        if message is None:
            return moves, []
        outcomes = [
            untried(plain(recipient, move.status, EventKind.EXPIRED, move.reason, now))
            for recipient, move in zip(people, moves, strict=True)
        ]
        word = partial(self._notices.for_outcomes, message, outcomes, b"")
        return moves, tasks.guard_call(word, name="a notice") or []


_End = tuple["list[Move]", "list[Admitted]"]


def _over(now: int, store: SpoolStore, _: Batch) -> list[tuple[Message | None, list[Recipient]]]:
    """Whose life is over, by message."""
    found: dict[int, list[Recipient]] = {}
    for recipient in store.questions.held_expired(now, PAGE):
        found.setdefault(recipient.message_id, []).append(recipient)
    return [(message_in(store, message_id), people) for message_id, people in found.items()]


def _give_up(ends: list[_End], store: SpoolStore, batch: Batch) -> tuple[int, list[Admitted]]:
    count, stored = 0, list["Admitted"]()
    for moves, notices in ends:
        done = len(store.move(moves, batch, held=True))
        count += done
        for notice in notices if done == len(moves) else ():
            store.add(notice, batch)
            stored.append(notice)
    return count, stored
