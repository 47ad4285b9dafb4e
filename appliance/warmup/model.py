"""Values of warmup as it is recorded: where each (egress, provider) stands, and what its days were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.warmup.model import WarmupPlan, WarmupState, volume_of

if TYPE_CHECKING:
    from mta.warmup.schedule import Course


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupRecord:
    """One warmup. Days are named as in 2026-11-20, in the configured zone."""

    egress: str
    provider: str
    schedule: str
    target: int  # 0: the schedule has volumes of its own
    course: Course
    state: WarmupState
    stage: int  # 0-based; below 0: smaller than the first
    started_at: int
    decided: str  # the last day that was judged
    last_mail: str  # the last day with mail; the day it was started when there was none
    paused_until: int  # 0 = until a person resumes it
    reason: str  # of the last decision, or of whoever acted, in words
    changed_at: int

    @property
    def stages(self) -> int:
        """How many stages it has."""
        return len(self.course.volumes)

    @property
    def limit(self) -> int:
        """Recipients in one window."""
        return volume_of(self.course.volumes, self.stage)

    def plan(self) -> WarmupPlan:
        """What the mta must know."""
        return WarmupPlan(
            egress=self.egress,
            provider=self.provider,
            state=self.state,
            stage=self.stage,
            stages=self.stages,
            limit=self.limit,
            is_hourly=self.course.is_hourly,
            reserve=self.course.reserve,
            why=self.reason if self.state is WarmupState.PAUSED else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCounts:
    """What a day brought, to be added to what is counted."""

    egress: str
    provider: str
    day: str
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    blocked: int = 0
    complained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRecord:
    """A day as history keeps it. `budget` and `used` are of the day, or of its busiest hour."""

    egress: str
    provider: str
    day: str
    stage: int = 0
    budget: int = 0
    used: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    blocked: int = 0
    complained: int = 0
    decision: str = ""  # "" while nobody has judged it
    reason: str = ""
