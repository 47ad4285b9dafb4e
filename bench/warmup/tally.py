"""Tally: what each day brought at each receiver; and Audit, which counts for itself what warmup allows.

The audit goes by what the receivers counted at their doors (World.rcpts) and by the schedule as it stands in
its file. It knows nothing of the ledger.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.outcome.category import Category
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from pathlib import Path

    from mta.outcome.record import Recorded
    from warmup.world import World

COLUMNS: Final = ("sent", "delivered", "deferred", "blocked", "lost", "complained")
_OF_US: Final = frozenset(
    {Category.BLOCKED, Category.SPAM, Category.RATE_LIMITED, Category.POLICY, Category.OTHER}
)


@dataclass(slots=True)
class Tally:
    """Counts by (receiver, day number, column).

    sent        answered, whatever was said            delivered   taken
    deferred    4xx that ask the sender for less       blocked     answers of a block
    lost        bounced for it: never arrives          complained  reported as unwanted
    """

    start: int
    counts: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def add(self, receiver: str, now: int, column: str, count: int = 1) -> None:
        """So many more."""
        self.counts[receiver, (now - self.start) // clock.DAY, column] += count

    def refused(
        self, receiver: str, now: int, recorded: Recorded, count: int, *, is_block: bool
    ) -> None:
        """An answer that was no yes, to so many."""
        verdict = recorded.verdict
        about_us = is_block or (verdict is not None and verdict.category in _OF_US)
        self.add(receiver, now, "sent", count)
        if is_block:
            self.add(receiver, now, "blocked", count)
        elif recorded.decision.event is EventKind.DEFERRED and about_us:
            self.add(receiver, now, "deferred", count)
        if recorded.decision.status in (Status.BOUNCED, Status.EXPIRED) and about_us:
            self.add(receiver, now, "lost", count)


class Audit:
    """What reached receivers from warming addresses, against what the schedule allows on that day."""

    def __init__(self, world: World, schedule: Path) -> None:
        self._world, self._seen = world, Counter[tuple[str, str, int]]()
        written = tomllib.loads(schedule.read_text("utf-8"))
        self._volumes: list[int] = written["volumes"]
        self._own = frozenset(written["providers"])
        self._sent: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._limits: dict[tuple[str, str, int], int] = {}
        self.checked = self.exceeded = 0

    def look(self, stages: dict[tuple[str, str], int], day: int) -> None:
        """Compare; `stages` are those in force since the last look, of the addresses that warm."""
        fresh: Counter[tuple[str, str]] = Counter()
        for (address, receiver), count in self._world.rcpts[day].items():
            before = self._seen[address, receiver, day]
            if count != before:
                provider = receiver if receiver in self._own else "other"
                fresh[address, provider] += count - before
                self._seen[address, receiver, day] = count
        for name, count in fresh.items():
            if name in stages:
                self._add(name, day, count, self._limit(stages[name]))

    def _limit(self, stage: int) -> int:
        """As the file says; below the first stage each has half of the one above."""
        return self._volumes[stage] if stage >= 0 else self._volumes[0] // 2**-stage

    def _add(self, name: tuple[str, str], day: int, count: int, limit: int) -> None:
        place = (*name, day)
        before = self._sent[place]
        self._sent[place] += count
        self._limits[place] = limit
        self.checked += count
        self.exceeded += max(0, self._sent[place] - max(before, limit))

    @property
    def budgets(self) -> int:
        """How many were looked at."""
        return len(self._limits)

    def filled(self) -> int:
        """Budgets of which every single one was used."""
        return sum(self._sent[place] == limit for place, limit in self._limits.items())
