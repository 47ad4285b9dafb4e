"""Portion: what one process knows of a shared budget, and what it has leased of it. No store, no clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mta.warmup.day import allowed

if TYPE_CHECKING:
    from mta.status import TrafficClass
    from mta.warmup.day import Charge
    from mta.warmup.model import WarmupPlan


@dataclass(slots=True, eq=False)
class Portion:
    """Leased for these windows under this limit."""

    windows: tuple[int, ...]
    limit: int
    left: int
    touched: int  # when something was last taken

    def is_good(self, view: View) -> bool:
        """Whether it holds for the windows and the limit of now."""
        return self.windows == view.windows and self.limit == view.plan.limit


@dataclass(frozen=True, slots=True)
class View:
    """A plan at one moment."""

    plan: WarmupPlan
    charges: tuple[Charge, ...]

    @property
    def windows(self) -> tuple[int, ...]:
        """Which windows a send is charged to."""
        return tuple(charge.window.start for charge in self.charges)

    def limits(self, traffic_class: TrafficClass) -> dict[int, int]:
        """How much of each may be used."""
        return {
            charge.window.start: allowed(self.plan, charge, traffic_class)
            for charge in self.charges
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """So many recipients may be sent to now; it may be fewer than were asked for."""

    egress: str
    provider: str
    count: int
    key: str = ""
    portion: Portion | None = field(default=None, repr=False)  # None: the address is warm


@dataclass(slots=True, eq=False)
class Pair:
    """What this process knows of the budget of one (egress, provider)."""

    key: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    portions: dict[TrafficClass, Portion] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)  # by start of the window
    promised: int = 0
    asked_at: int = 0
    dry: set[TrafficClass] = field(default_factory=set)  # the store had nothing a moment ago
    waiting: set[TrafficClass] = field(default_factory=set)  # were told to wait

    def in_hand(self, view: View, traffic_class: TrafficClass) -> int:
        """What is left of the portion, if it is good for the windows and the limit of now."""
        portion = self.portions.get(traffic_class)
        return portion.left if portion is not None and portion.is_good(view) else 0

    def rest(self, view: View, traffic_class: TrafficClass) -> int:
        """What the store has left, as far as we know."""
        limits = view.limits(traffic_class)
        return max(0, min(limit - self.used.get(start, 0) for start, limit in limits.items()))
