"""Decide what follows from an answer: the recipient's next state and when it is tried again; pure.

The back-off lives here and nowhere else. Given the same facts, time and roll of the dice the
decision is the same, which a table test shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mta.status import EventKind, Status, TrafficClass

if TYPE_CHECKING:
    from mta.message import Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """Waits after the first, second, ... failed attempt (ms; the last repeats), and queue lives."""

    waits: tuple[int, ...]
    jitter: float  # share by which a wait is varied
    lifetime: int
    bulk_lifetime: int

    def wait_after(self, attempts: int, roll: float) -> int:
        """Wait after the n-th failed attempt (n from 1); `roll` in [0, 1) spreads it evenly."""
        wait = self.waits[min(attempts, len(self.waits)) - 1]
        return round(wait * (1 + self.jitter * (2 * roll - 1)))

    def expiry(self, start: int, traffic_class: TrafficClass) -> int:
        """When a message that may first be sent at `start` is given up."""
        bulk = traffic_class is TrafficClass.BULK
        return start + (self.bulk_lifetime if bulk else self.lifetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What shaping makes of an answer, beside what it says."""

    permanent: bool | None = None  # None: as the answer says
    at_least: int = 0  # ms until the next attempt
    at: int = 0  # ms until the next attempt, instead of the schedule's wait; 0 = the schedule's
    waits: tuple[int, ...] = ()  # the provider's own schedule (ms)


AS_SAID: Final = Treatment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where the recipient goes; `due_at` is 0 for final states."""

    status: Status
    event: EventKind
    due_at: int


_DELIVERED = Decision(status=Status.DELIVERED, event=EventKind.DELIVERED, due_at=0)
_BOUNCED = Decision(status=Status.BOUNCED, event=EventKind.BOUNCED, due_at=0)
_EXPIRED = Decision(status=Status.EXPIRED, event=EventKind.EXPIRED, due_at=0)


def decide(  # noqa: PLR0913 - the facts of one decision
    recipient: Recipient,
    *,
    success: bool,
    permanent: bool,
    now: int,
    schedule: RetrySchedule,
    roll: float,
    treatment: Treatment = AS_SAID,
) -> Decision:
    """After one attempt at `now`.

    The last attempt is made at the end of the queue life, so that nobody is given up while the
    schedule's last wait still runs.
    """
    if success:
        return _DELIVERED
    if permanent:
        return _BOUNCED
    if now >= recipient.expires_at:
        return _EXPIRED
    if treatment.waits:
        schedule = replace(schedule, waits=treatment.waits)
    wait = treatment.at or schedule.wait_after(recipient.attempts + 1, roll)
    due = now + max(wait, treatment.at_least)
    return Decision(
        status=Status.DEFERRED, event=EventKind.DEFERRED, due_at=min(due, recipient.expires_at)
    )
