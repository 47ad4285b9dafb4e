"""Use cases of warmup for people: start, pause, resume, skip, step back, finish, restart; list, history; and the plans.

Only the box's admin may change a warmup. A change of several providers at once passes over those where it
makes no sense, unless they were named. Every change is in the audit log; processes follow within a second.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import BOX
from appliance.tenancy import Act, record
from appliance.tenancy.rules import checked_reason
from appliance.warmup import rules, store
from appliance.warmup.model import DayRecord, WarmupRecord
from appliance.warmup.tables import warmup_day
from mta.warmup.day import day_of, next_day
from mta.warmup.decide import Kind
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope
    from mta.warmup.model import WarmupPlan
    from mta.warmup.schedule import Schedule


class Warmups:
    """Warmups of the box. `zone`: whose midnight begins a day."""

    def __init__(
        self, engine: AsyncEngine, zone: tzinfo = UTC, now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._engine, self._zone, self._now = engine, zone, now

    async def plans(self) -> dict[tuple[str, str], WarmupPlan]:
        """What the mta must know, by (egress, provider)."""
        async with reading(self._engine) as connection:
            found = await store.load(connection)
        return {(one.egress, one.provider): one.plan() for one in found}

    async def list(self, scope: Scope, egress: str = "") -> tuple[WarmupRecord, ...]:
        """Every warmup, of one egress or all."""
        _only_admin(scope)
        async with reading(self._engine) as connection:
            return await store.load(connection, egress)

    async def held(self, scope: Scope) -> frozenset[tuple[str, str]]:
        """Egress and provider of those that yesterday's judgement keeps, or put back."""
        _only_admin(scope)
        yesterday = next_day(day_of(self._now(), self._zone), -1)
        wanted = select(warmup_day.c.egress, warmup_day.c.provider).where(
            warmup_day.c.day == yesterday, warmup_day.c.decision.in_((Kind.HOLD, Kind.STEP_BACK))
        )
        async with reading(self._engine) as connection:
            return frozenset((row.egress, row.provider) for row in await connection.execute(wanted))

    async def history(
        self, scope: Scope, egress: str, provider: str = "", *, days: int = 30
    ) -> tuple[DayRecord, ...]:
        """The days of an egress, newest first."""
        _only_admin(scope)
        oldest = next_day(day_of(self._now(), self._zone), -days)
        statement = select(warmup_day).where(
            warmup_day.c.egress == egress, warmup_day.c.day > oldest
        )
        if provider:
            statement = statement.where(warmup_day.c.provider == provider)
        newest = (warmup_day.c.day.desc(), warmup_day.c.provider)
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.order_by(*newest))
            return tuple(DayRecord(**row) for row in rows.mappings())

    async def start(
        self,
        scope: Scope,
        egress: str,
        schedule: Schedule,
        *,
        providers: Sequence[str] = (),
        target: int = 0,
    ) -> tuple[WarmupRecord, ...]:
        """Warm an address up: for these providers, else for all that the schedule is made for.

        Raises ConflictError when one of them is under way.
        """
        _only_admin(scope)
        wanted = rules.checked_providers(providers, schedule)
        fresh = self._fresh(rules.checked_egress(egress), schedule, wanted, target)
        async with change(self._engine, Part.WARMUP) as changed:
            for standing in await store.load(changed.connection, fresh[0].egress, wanted):
                rules.may_start(standing)
            for one in fresh:
                await store.put(changed.connection, one)
                detail = f"schedule {schedule.name}" + (f" to {target:,}" if target else "")
                await self._audit(changed.connection, scope, one, "start", detail)
        return fresh

    async def pause(
        self,
        scope: Scope,
        egress: str,
        providers: Sequence[str] = (),
        *,
        reason: str,
        until: int = 0,
    ) -> tuple[WarmupRecord, ...]:
        """Send nothing until somebody resumes it, or until the time has come."""
        words = f"{checked_reason(reason)} ({scope.by})"
        return await self._move(
            scope,
            egress,
            providers,
            "pause",
            lambda one: rules.paused(one, reason=words, until=until),
        )

    async def resume(
        self, scope: Scope, egress: str, providers: Sequence[str] = ()
    ) -> tuple[WarmupRecord, ...]:
        """Go on with the stage it stood at."""
        return await self._move(scope, egress, providers, "resume", rules.resumed)

    async def skip(
        self, scope: Scope, egress: str, providers: Sequence[str] = ()
    ) -> tuple[WarmupRecord, ...]:
        """Go to the next stage now."""
        return await self._move(scope, egress, providers, "skip", rules.skipped)

    async def step_back(
        self, scope: Scope, egress: str, providers: Sequence[str] = (), *, reason: str
    ) -> tuple[WarmupRecord, ...]:
        """Go back to the stage before."""
        words = f"stepped back by hand: {checked_reason(reason)} ({scope.by})"
        return await self._move(
            scope,
            egress,
            providers,
            "step-back",
            lambda one: rules.stepped_back(one, reason=words),
        )

    async def finish(
        self, scope: Scope, egress: str, providers: Sequence[str] = ()
    ) -> tuple[WarmupRecord, ...]:
        """Call it warm."""
        return await self._move(scope, egress, providers, "finish", rules.finished)

    async def restart(
        self, scope: Scope, egress: str, providers: Sequence[str] = ()
    ) -> tuple[WarmupRecord, ...]:
        """Begin anew with the first stage."""
        return await self._move(scope, egress, providers, "restart", rules.restarted)

    async def begin_anew(self, scope: Scope, egress: str, *, reason: str) -> None:
        """Its address is another one now: the first stage everywhere, whatever had been reached."""
        _only_admin(scope)
        async with change(self._engine, Part.WARMUP) as changed:
            for before in await store.load(changed.connection, egress):
                after = replace(rules.restarted(before), reason=reason, changed_at=self._now())
                await store.move(changed.connection, before, after)
                await self._audit(changed.connection, scope, after, "restart", reason)

    async def forget(self, scope: Scope, egress: str) -> None:
        """The egress is gone, and its history with it."""
        _only_admin(scope)
        async with change(self._engine, Part.WARMUP) as changed:
            for one in await store.load(changed.connection, egress):
                await self._audit(changed.connection, scope, one, "forget", "the egress is gone")
            await store.forget(changed.connection, egress)

    async def _move(
        self,
        scope: Scope,
        egress: str,
        providers: Sequence[str],
        action: str,
        move: Callable[[WarmupRecord], WarmupRecord],
    ) -> tuple[WarmupRecord, ...]:
        _only_admin(scope)
        async with change(self._engine, Part.WARMUP) as changed:
            standing = await store.load(changed.connection, egress, providers)
            _require(standing, egress, providers)
            moved = _moved(standing, move, is_strict=bool(providers))
            for before, after in moved:
                stamped = replace(after, changed_at=self._now())
                await store.move(changed.connection, before, stamped)
                await self._audit(changed.connection, scope, stamped, action, after.reason)
        return tuple(after for _, after in moved)

    def _fresh(
        self, egress: str, schedule: Schedule, providers: Sequence[str], target: int
    ) -> tuple[WarmupRecord, ...]:
        now = self._now()
        today = day_of(now, self._zone)
        common: Mapping[str, Any] = {
            "egress": egress,
            "schedule": schedule.name,
            "target": target,
            "state": WarmupState.WARMING,
            "stage": 0,
            "started_at": now,
            "decided": next_day(today, -1),
            "last_mail": today,
            "paused_until": 0,
            "reason": "started",
            "changed_at": now,
        }
        return tuple(
            WarmupRecord(provider=one, course=schedule.course(one, target), **common)
            for one in providers
        )

    async def _audit(
        self,
        connection: AsyncConnection,
        scope: Scope,
        about: WarmupRecord,
        action: str,
        detail: str,
    ) -> None:
        act = Act(
            tenant_id=BOX,
            at=self._now(),
            action=f"warmup.{action}",
            subject=f"warmup of {about.egress} for {about.provider}",
            detail=detail,
        )
        await record(connection, scope, act)


def _only_admin(scope: Scope) -> None:
    if not scope.is_system:
        raise UsageError("only the box's admin may see and change warmups")


def _require(found: Sequence[WarmupRecord], egress: str, providers: Sequence[str]) -> None:
    missing = sorted(set(providers) - {one.provider for one in found})
    if missing or not found:
        whom = f" for {', '.join(missing)}" if missing else ""
        raise NotFoundError(
            f"{egress} has no warmup{whom}: `pillarbox warmup list` shows what there is"
        )


def _moved(
    standing: Sequence[WarmupRecord],
    move: Callable[[WarmupRecord], WarmupRecord],
    *,
    is_strict: bool,
) -> list[tuple[WarmupRecord, WarmupRecord]]:
    """Before and after, of all where the move makes sense; at least one must."""
    moved, refused = [], []
    for one in standing:
        try:
            moved.append((one, move(one)))
        except ConflictError as error:
            refused.append(error)
    if refused and (is_strict or not moved):
        raise refused[0]
    return moved
