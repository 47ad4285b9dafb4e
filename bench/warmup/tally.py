"""Tally: what each day brought at each receiver; and Audit, which counts for itself what warmup allows.

The audit stands at the receivers' door: it counts every RCPT by address, provider and day, and compares with
the budget in force at that moment. It knows nothing of the ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.core import clock
from mta.outcome.category import Category
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from mta.outcome.record import Recorded
    from mta.warmup.model import WarmupPlan

COLUMNS = ("delivered", "deferred", "blocked", "lost", "complained")
_OF_US = frozenset({Category.BLOCKED, Category.SPAM, Category.RATE_LIMITED, Category.POLICY})


@dataclass(slots=True)
class Tally:
    """Counts by (receiver, day number, column).

    delivered   taken                              deferred    4xx that ask the sender for less
    blocked     answers of a block                 lost        bounced for it: that mail never arrives
    complained  reported as unwanted               waiting     left at the end of the day
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
        if is_block:
            self.add(receiver, now, "blocked", count)
        elif recorded.decision.event is EventKind.DEFERRED and about_us:
            self.add(receiver, now, "deferred", count)
        if recorded.decision.status in (Status.BOUNCED, Status.EXPIRED) and about_us:
            self.add(receiver, now, "lost", count)


@dataclass(slots=True)
class Audit:
    """Recipients whose RCPT was sent, against what the budget of the day allows."""

    sent: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    limits: dict[tuple[str, str, int], int] = field(default_factory=dict)  # the last in force
    checked: int = 0
    exceeded: int = 0  # messages over a budget: must stay 0

    def rcpt(self, plan: WarmupPlan, count: int, now: int) -> None:
        """So many more, from a warming address."""
        key = (plan.egress, plan.provider, now // clock.DAY)
        before = self.sent[key]
        self.sent[key] += count
        self.limits[key] = plan.limit
        self.checked += count
        self.exceeded += max(0, self.sent[key] - max(before, plan.limit))

    def filled(self) -> int:
        """Budgets of which every single one was used."""
        return sum(self.sent[key] == limit for key, limit in self.limits.items())
