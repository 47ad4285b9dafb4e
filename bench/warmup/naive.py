"""Naive: a table of volumes and nothing else.

Each day it hands out what the table says for an address, evenly over the day and by the shares of what
waits; what is deferred is tried again by the usual back-off from the same address, as often as it takes. It
bounces what is refused for good, and never slows down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from warmup.queue import Entry, Queue, attempt_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warmup.figures import Figures, Receiver, Saying
    from warmup.tally import Tally
    from warmup.world import World


class Naive:
    """The sender that only has a table."""

    def __init__(
        self, figures: Figures, seed: int, world: World, tally: Tally, volumes: Sequence[int]
    ) -> None:
        self._figures, self._world, self._tally, self._volumes = figures, world, tally, volumes
        tick = figures.run.tick_seconds * clock.SECOND
        self._queue = Queue(figures, seed, joins=tick, keeps=True)
        self._names = [f"egress-{number}" for number in range(1, figures.run.addresses + 1)]
        self._minutes = figures.run.tick_seconds / 60
        self._handed: dict[tuple[str, str], float] = {}

    @property
    def waiting(self) -> int:
        """Who was never tried."""
        return sum(entry.count for entry in self._queue.fresh.values())

    def tick(self, now: int) -> None:
        """One minute."""
        for _, receiver in self._world.complaints(now):
            self._tally.add(receiver, now, "complained")
        day, passed = divmod(now - self._figures.start, clock.DAY)
        volume = self._volumes[min(day, len(self._volumes) - 1)]
        share = passed / clock.DAY + self._minutes * clock.MINUTE / clock.DAY
        for receiver in self._figures.receiver:
            open_now = int(volume * share * self._figures.share_of(receiver))
            for name in self._names:
                self._fresh(name, receiver, open_now, now, begins=not passed)
                self._again(name, receiver, now)

    def _fresh(
        self, name: str, receiver: Receiver, open_now: int, now: int, *, begins: bool
    ) -> None:
        handed = 0 if begins else self._handed[name, receiver.name]
        self._handed[name, receiver.name] = open_now
        entry = self._queue.fresh[receiver.name]
        self._send(name, receiver, entry, min(entry.count, int(open_now - handed)), now)

    def _again(self, name: str, receiver: Receiver, now: int) -> None:
        while (entry := self._queue.retry_due(receiver, name, now)) is not None:
            self._send(name, receiver, entry, entry.count, now)

    def _send(self, name: str, receiver: Receiver, entry: Entry, count: int, now: int) -> None:
        if not count:
            return
        entry.count -= count
        taken = self._world.offer(name, receiver, count, now, self._minutes)
        self._tally.add(receiver.name, now, "sent", taken.delivered)
        self._tally.add(receiver.name, now, "delivered", taken.delivered)
        for said, part in taken.of_recipients:
            self._answered(name, receiver, entry, said, part, now)
        if (refused := count - taken.heard) > 0:
            said = self._world.refuse(name, receiver, refused, now)
            self._answered(name, receiver, entry, said, refused, now)

    def _answered(
        self, name: str, receiver: Receiver, entry: Entry, said: Saying, count: int, now: int
    ) -> None:
        attempt = attempt_of(receiver, name, said, now)
        recorded, _ = self._queue.settle(receiver, entry, attempt, count)
        is_block = said is receiver.block
        self._tally.refused(receiver.name, now, recorded, count, is_block=is_block)
