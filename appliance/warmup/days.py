"""Days of warmups, for the worker: count what they bring, keep what they were, judge each once.

A judgement is one conditional statement with its history in the same transaction: of two workers that
judge the same day, one wins. Counting is not: events that come twice after a crash count twice, which
moves rates by nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, select, update

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading, transaction, upsert
from appliance.warmup import rules, store
from appliance.warmup.model import DayRecord
from appliance.warmup.tables import warmup, warmup_day
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.warmup.model import DayCounts, WarmupRecord
    from mta.warmup.decide import Decision

_COUNTED: Final = ("delivered", "deferred", "bounced", "blocked", "complained")
_KEY: Final = ("egress", "provider", "day")


class DayBook:
    """What the days of every warmup brought."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def warmups(self) -> tuple[WarmupRecord, ...]:
        """All, warm ones too."""
        async with reading(self._engine) as connection:
            return await store.load(connection)

    async def providers(self) -> Mapping[str, frozenset[str]]:
        """The providers of each egress that has a warmup, finished or not."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        async with reading(self._engine) as connection:
            for egress, provider in await connection.execute(
                select(warmup.c.egress, warmup.c.provider)
            ):
                found[egress].add(provider)
        return {egress: frozenset(providers) for egress, providers in found.items()}

    async def count(self, counts: Iterable[DayCounts]) -> None:
        """Add to what is counted, and remember the last day with mail."""
        rows = [
            {name: getattr(one, name) for name in (*_KEY, *_COUNTED)}
            for one in sorted(counts, key=lambda one: (one.egress, one.provider, one.day))
        ]
        if not rows:
            return
        empty = {"stage": 0, "budget": 0, "used": 0, "decision": "", "reason": ""}
        async with transaction(self._engine) as connection:
            statement = upsert(connection, warmup_day)
            sums = {name: warmup_day.c[name] + statement.excluded[name] for name in _COUNTED}
            added = statement.on_conflict_do_update(
                index_elements=[warmup_day.c[name] for name in _KEY], set_=sums
            )
            await connection.execute(added, [{**empty, **row} for row in rows])
            await _note_mail(connection, rows)

    async def day(self, standing: WarmupRecord, day: str) -> DayRecord:
        """What a day brought so far."""
        same = (
            warmup_day.c.egress == standing.egress,
            warmup_day.c.provider == standing.provider,
            warmup_day.c.day == day,
        )
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(warmup_day).where(*same))
            row = rows.mappings().one_or_none()
        if row is None:
            return DayRecord(egress=standing.egress, provider=standing.provider, day=day)
        return DayRecord(**row)

    async def judge(
        self, standing: WarmupRecord, found: DayRecord, decision: Decision
    ) -> WarmupRecord | None:
        """Write what follows from a day; None when another worker, or a person, was faster."""
        after = replace(
            rules.decided(standing, decision), decided=found.day, changed_at=self._now()
        )
        kept = replace(found, stage=standing.stage, decision=decision.kind, reason=decision.reason)
        async with change(self._engine, Part.WARMUP) as changed:
            if not await store.move(changed.connection, standing, after):
                return None
            await _keep(changed.connection, kept)
        return after

    async def rewind(self, standing: WarmupRecord, day: str) -> None:
        """The clock was set back behind days that were judged: go on from this one."""
        async with change(self._engine, Part.WARMUP) as changed:
            await store.move(changed.connection, standing, replace(standing, decided=day))

    async def lift(self) -> Sequence[WarmupRecord]:
        """End the pauses whose time has come."""
        now = self._now()
        over = [
            one
            for one in await self.warmups()
            if one.state is WarmupState.PAUSED and 0 < one.paused_until <= now
        ]
        if not over:
            return ()
        lifted = []
        async with change(self._engine, Part.WARMUP) as changed:
            for before in over:
                reason = f"the pause is over; it was: {before.reason}"
                after = replace(rules.resumed(before), reason=reason, changed_at=now)
                if await store.move(changed.connection, before, after):
                    lifted.append(after)
        return lifted

    async def forget(self, before: str) -> None:
        """Drop the history of days before this one."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(warmup_day).where(warmup_day.c.day < before))


async def _note_mail(connection: AsyncConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Remember the last day with mail; a complaint is none."""
    latest = [
        {f"the_{name}": row[name] for name in _KEY}
        for row in rows
        if row["delivered"] or row["deferred"] or row["bounced"]
    ]
    if not latest:
        return
    statement = update(warmup).where(
        warmup.c.egress == bindparam("the_egress"),
        warmup.c.provider == bindparam("the_provider"),
        warmup.c.last_mail < bindparam("the_day"),
    )
    await connection.execute(statement.values(last_mail=bindparam("the_day")), latest)


async def _keep(connection: AsyncConnection, found: DayRecord) -> None:
    """Write the judgement; what is counted meanwhile stays counted."""
    values = {name: getattr(found, name) for name in warmup_day.c.keys()}  # noqa: SIM118 - of columns
    judged = {name: value for name, value in values.items() if name not in (*_KEY, *_COUNTED)}
    statement = upsert(connection, warmup_day).on_conflict_do_update(
        index_elements=[warmup_day.c[name] for name in _KEY], set_=judged
    )
    await connection.execute(statement, values)
