"""Standing: the throttles a process knows, those in force and those kept for their history.

Bounded, because zones come from strangers' DNS: beyond `max_live` the throttle that moved least lately
is dropped. Knows which (egress, zone) anything is in force for, so that asking for one where nothing is
costs a look into a dictionary; and which throttles are not stored yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mta.shaping.throttle import Subject, Throttle

MAX_LIVE: Final = 50_000
MAX_PAST: Final = 10_000
KEPT: Final = clock.DAY
"""How long a throttle is kept after its end."""


class Standing:
    """Throttles by subject."""

    def __init__(self, max_live: int = MAX_LIVE) -> None:
        self._max_live = max_live
        self.live: dict[Subject, Throttle] = {}  # in force; moved last stands last
        self.pairs: dict[tuple[str, str], int] = {}  # (egress, zone): how many are in force there
        self._past: dict[Subject, Throttle] = {}
        self._dirty: dict[Subject, Throttle] = {}

    def __iter__(self) -> Iterator[Throttle]:
        yield from self.live.values()
        yield from self._past.values()

    def get(self, subject: Subject) -> Throttle | None:
        """In force or not."""
        return self.live.get(subject) or self._past.get(subject)

    def put(self, throttle: Throttle, *, stored: bool = False) -> None:
        """In place of the version before it."""
        subject = throttle.subject
        self._drop(subject)
        if not stored:
            self._dirty[subject] = throttle
        if not throttle.in_force:
            self._past[subject] = throttle
            return
        if len(self.live) >= self._max_live:
            self._drop(next(iter(self.live)))
        self.live[subject] = throttle
        pair = (subject.egress, subject.zone)
        self.pairs[pair] = self.pairs.get(pair, 0) + 1

    def dirty(self) -> list[Throttle]:
        """What is not stored; the same again until `saved`."""
        return list(self._dirty.values())

    def saved(self, rows: Iterable[Throttle]) -> None:
        """These are stored; what has changed since is not."""
        for row in rows:
            if self._dirty.get(row.subject) is row:
                del self._dirty[row.subject]

    def forget_past(self, now: int) -> None:
        """Let go what ended long ago, or too many to keep."""
        while self._past:
            first = next(iter(self._past.values()))
            if len(self._past) <= MAX_PAST and first.changed_at > now - KEPT:
                return
            self._drop(first.subject)

    def _drop(self, subject: Subject) -> None:
        self._dirty.pop(subject, None)
        self._past.pop(subject, None)
        if self.live.pop(subject, None) is None:
            return
        pair = (subject.egress, subject.zone)
        self.pairs[pair] -= 1
        if not self.pairs[pair]:
            del self.pairs[pair]
