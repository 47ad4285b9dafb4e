"""Records: what the product keeps in its database, in memory: budgets, warmups and their days.

Budgets stands in for appliance.limits.Budgets, Days for appliance.warmup.DayBook; what they decide
(appliance.warmup.rules) is the product's own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.warmup import DayRecord, WarmupRecord, rules
from mta.warmup.day import day_of, next_day
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import tzinfo

    from mta.warmup.decide import Decision
    from mta.warmup.model import WarmupPlan
    from mta.warmup.schedule import Schedule

Name = tuple[str, str]
"""Egress and provider."""


class Budgets:
    """What was used of each budget, by window."""

    def __init__(self) -> None:
        self._used: dict[int, dict[str, int]] = defaultdict(dict)

    async def lease_all(
        self, key: str, limits: Mapping[int, int], amount: int
    ) -> tuple[int, dict[int, int]]:
        """What every window has room for, up to `amount`; and what is used of each after that."""
        used = {start: self._used[start].get(key, 0) for start in limits}
        granted = max(0, min(amount, *(limits[start] - used[start] for start in limits)))
        for start in limits:
            used[start] = self._used[start][key] = used[start] + granted
        return granted, used

    async def give_back(self, key: str, window: int, amount: int) -> None:
        """Return the rest of a portion."""
        self._used[window][key] = max(0, self._used[window].get(key, 0) - amount)

    async def used_of(self, prefix: str, windows: Collection[int]) -> dict[tuple[str, int], int]:
        """What is used of all budgets whose key begins so."""
        return {
            (key, start): used
            for start in windows
            for key, used in self._used[start].items()
            if key.startswith(prefix)
        }

    async def forget(self, before: int, *, prefix: str = "") -> None:
        """Drop old windows."""
        for start in [start for start in self._used if start < before]:
            del self._used[start]


class Days:
    """Warmups, and what their days brought."""

    def __init__(
        self, egresses: Iterable[str], schedule: Schedule, start: int, zone: tzinfo
    ) -> None:
        self._zone, self.now = zone, start
        today = day_of(start, zone)
        self.standing: dict[Name, WarmupRecord] = {
            (egress, provider): WarmupRecord(
                egress=egress,
                provider=provider,
                schedule=schedule.name,
                target=0,
                course=schedule.course(provider),
                state=WarmupState.WARMING,
                stage=0,
                started_at=start,
                decided=next_day(today, -1),
                last_mail=today,
                paused_until=0,
                reason="started",
                changed_at=start,
            )
            for egress in egresses
            for provider in schedule.providers
        }
        self.history: dict[tuple[str, str, str], DayRecord] = {}
        self._counts: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        self.changes = 0

    def count(self, name: Name, now: int, columns: Iterable[str], count: int) -> None:
        """So many outcomes, each counted in these columns."""
        day = day_of(now, self._zone)
        self._counts[*name, day].update(dict.fromkeys(columns, count))
        if columns != ("complained",) and name in self.standing:
            self.standing[name] = replace(self.standing[name], last_mail=day)

    def plans(self) -> dict[Name, WarmupPlan]:
        """What the mta must know."""
        return {name: one.plan() for name, one in self.standing.items()}

    async def warmups(self) -> tuple[WarmupRecord, ...]:
        """All."""
        return tuple(self.standing.values())

    async def day(self, standing: WarmupRecord, day: str) -> DayRecord:
        """What a day brought."""
        name = (standing.egress, standing.provider, day)
        return DayRecord(egress=name[0], provider=name[1], day=day, **self._counts[name])

    async def judge(
        self, standing: WarmupRecord, found: DayRecord, decision: Decision
    ) -> WarmupRecord:
        """Keep what follows from a day."""
        after = rules.decided(standing, decision)
        after = replace(after, decided=found.day, changed_at=self.now)
        self.history[standing.egress, standing.provider, found.day] = replace(
            found, stage=standing.stage, decision=decision.kind, reason=decision.reason
        )
        return self._put(after)

    async def lift(self) -> list[WarmupRecord]:
        """End the pauses whose time has come."""
        over = [
            one
            for one in self.standing.values()
            if one.state is WarmupState.PAUSED and 0 < one.paused_until <= self.now
        ]
        return [self._put(rules.resumed(one)) for one in over]

    async def forget(self, before: str) -> None:
        """Thirty days are kept."""

    def _put(self, standing: WarmupRecord) -> WarmupRecord:
        self.standing[standing.egress, standing.provider] = standing
        self.changes += 1
        return standing
