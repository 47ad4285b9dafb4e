"""Traffic: what went on in the last minute, second by second, and in the last two hours, by the minute.

A ring of sixty seconds, each with its counts by (egress, provider) and by domain. The second that still
runs is left out of every answer, so that a rate is never of half a second. Bounded: what is quiet takes
no room, a second counts at most MAX_FLOWS pairs and MAX_DOMAINS domains, and what comes beyond is left
out there, not in the sums. Minutes are sums of seconds that are over, so counting an outcome costs
nothing more. Never stored; `committed` may be called by other threads.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 60
MINUTES: Final = 120
MAX_FLOWS: Final = 2000
MAX_DOMAINS: Final = 500
_COMMITS: Final = 5000

K = TypeVar("K")
Flow = tuple[str, str]
"""Egress and provider."""


class Kind(StrEnum):
    """What is counted: recipients."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"


@dataclass(slots=True)
class _Second:
    at: int
    counts: dict[Kind, int] = field(default_factory=dict)
    flows: dict[tuple[Flow, Kind], int] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)  # delivered


class Traffic:
    """The last minute of a process. `now` gives seconds on a clock that never steps."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seconds: deque[_Second] = deque(maxlen=SECONDS + 1)
        self._commits: deque[tuple[float, float]] = deque(maxlen=_COMMITS)
        self._began = int(now()) // SECONDS + 1
        self._minutes: deque[tuple[int, Counter[Kind]]] = deque(maxlen=MINUTES + 1)

    def accepted(self, recipients: int) -> None:
        """A message for so many became durable."""
        self._add(Kind.ACCEPTED, recipients)

    def outcome(self, egress: str, provider: str, domain: str, kind: Kind) -> None:
        """An attempt for one recipient ended so."""
        second = self._add(kind, 1)
        _count(second.flows, ((egress, provider), kind), MAX_FLOWS)
        if kind is Kind.DELIVERED:
            _count(second.domains, domain, MAX_DOMAINS)

    def committed(self, seconds: float) -> None:
        """A commit took so long; called in the committing thread."""
        self._commits.append((self._now(), seconds))

    def series(self) -> dict[Kind, list[int]]:
        """Recipients of each of the last sixty full seconds, oldest first."""
        last = int(self._now())
        found = {kind: [0] * SECONDS for kind in Kind}
        for second in self._past(last):
            for kind, count in second.counts.items():
                found[kind][second.at - last] = count
        return found

    def minutes(self) -> dict[int, dict[Kind, int]]:
        """Recipients of each full minute since this began, MINUTES at most, oldest first.

        Minutes of the clock that was given: processes of one machine number them alike.
        """
        end = int(self._now()) // SECONDS
        first = max(self._began, end - MINUTES)
        found = {minute: dict.fromkeys(Kind, 0) for minute in range(first, end)}
        last = [(one.at // SECONDS, one.counts) for one in list(self._seconds)[-1:]]
        for minute, counts in (*self._minutes, *last):
            for kind, count in counts.items():
                if minute in found:
                    found[minute][kind] += count
        return found

    def flows(self) -> dict[Flow, dict[Kind, int]]:
        """Recipients of the last sixty full seconds, by egress and provider."""
        found: dict[Flow, dict[Kind, int]] = {}
        for second in self._past(int(self._now())):
            for (flow, kind), count in second.flows.items():
                counts = found.setdefault(flow, {})
                counts[kind] = counts.get(kind, 0) + count
        return found

    def domains(self) -> Counter[str]:
        """Recipients delivered in the last sixty full seconds, by domain."""
        found: Counter[str] = Counter()
        for second in self._past(int(self._now())):
            found.update(second.domains)
        return found

    def commit_seconds(self) -> tuple[float, float]:
        """How long the commits of the last minute took: the middle one, and the 99th of a hundred."""
        start = self._now() - SECONDS
        found = sorted(took for at, took in list(self._commits) if at >= start)
        if not found:
            return 0.0, 0.0
        return found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)]

    def _past(self, last: int) -> list[_Second]:
        return [second for second in self._seconds if last - SECONDS <= second.at < last]

    def _add(self, kind: Kind, count: int) -> _Second:
        at = int(self._now())
        if not self._seconds or self._seconds[-1].at != at:
            if self._seconds:
                self._keep(self._seconds[-1])
            self._seconds.append(_Second(at))
        second = self._seconds[-1]
        second.counts[kind] = second.counts.get(kind, 0) + count
        return second

    def _keep(self, second: _Second) -> None:
        """A second that is over, in its minute."""
        minute = second.at // SECONDS
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))
        self._minutes[-1][1].update(second.counts)


def _count(counts: dict[K, int], name: K, most: int) -> None:
    if name in counts or len(counts) < most:
        counts[name] = counts.get(name, 0) + 1
