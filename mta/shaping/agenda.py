"""Agenda: whom to look at next; a heap with about one entry for each.

An entry is never later than the moment meant, but may be earlier: whoever looks too early notes the
right moment again. So a moment that is put off again and again (a fault every ten seconds) costs nothing.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.shaping.throttle import Subject

NEVER: Final = (1 << 63) - 1


class Agenda:
    """Subjects by the moment at which something becomes due."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Subject]] = []
        self._noted: dict[Subject, int] = {}

    @property
    def next_at(self) -> int:
        """When somebody must be looked at."""
        return self._heap[0][0] if self._heap else NEVER

    def note(self, subject: Subject, at: int) -> None:
        """Look at the subject at this moment, or earlier if that was noted before."""
        if at < self._noted.get(subject, NEVER):
            self._noted[subject] = at
            heapq.heappush(self._heap, (at, subject))

    def due(self, now: int) -> Iterator[Subject]:
        """Whoever must be looked at now; each is off the agenda until noted again."""
        while self._heap and self._heap[0][0] <= now:
            at, subject = heapq.heappop(self._heap)
            if self._noted.get(subject) == at:
                del self._noted[subject]
                yield subject
