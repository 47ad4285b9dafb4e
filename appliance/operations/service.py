"""Use cases of operations: kill switch on, off, status; pause (also for a time), resume, list.

Moving the switch to where it stands changes nothing, so the first who, when and why are kept.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, insert, select, update

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import BOX, Scope, scoped
from appliance.operations.model import KillStatus, Target
from appliance.operations.rules import checked_end, checked_target, describe, later
from appliance.operations.tables import kill_switch, pause
from appliance.tenancy import Act, record
from appliance.tenancy.rules import checked_reason
from mta.directory import Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Operations:
    """Stops mail and lets it go."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def kill(self, scope: Scope, *, reason: str) -> KillStatus:
        """Let no new transaction begin, anywhere, until it is switched off."""
        return await self._move_switch(scope, is_on=True, reason=checked_reason(reason))

    async def revive(self, scope: Scope, *, reason: str = "") -> KillStatus:
        """Switch the kill switch off."""
        return await self._move_switch(scope, is_on=False, reason=reason.strip()[:500])

    async def kill_status(self) -> KillStatus:
        """The switch as it stands; every tenant may know."""
        async with reading(self._engine) as connection:
            return await _status(connection)

    async def pause(
        self, scope: Scope, target: Target, *, reason: str, expires_at: int = 0
    ) -> Pause:
        """Let matching mail wait, until `expires_at` (0: until it is resumed).

        Pausing what is paused already returns the pause that stands; it lasts as long as the longer.
        """
        wanted = checked_target(_within(scope, target))
        words, now = checked_reason(reason), self._now()
        end = checked_end(expires_at, now)
        async with change(self._engine, Part.OPERATIONS) as changed:
            standing = await self._standing(changed.connection, wanted, now)
            if standing is not None:
                return await self._prolong(changed.connection, scope, standing, end)
            values = {
                **_columns(wanted),
                "reason": words,
                "by": scope.by,
                "at": now,
                "expires_at": end,
            }
            made = await changed.connection.execute(insert(pause).values(values).returning(pause))
            found = Pause(**made.mappings().one())
            await self._audit(changed.connection, scope, wanted, "pause.add", _with_end(words, end))
        return found

    async def resume(self, scope: Scope, pause_id: int) -> Pause:
        """Lift one pause. Raises NotFoundError."""
        statement = scoped(delete(pause), pause, scope).where(pause.c.id == pause_id)
        async with change(self._engine, Part.OPERATIONS) as changed:
            rows = await changed.connection.execute(statement.returning(pause))
            row = rows.mappings().one_or_none()
            if row is None:
                raise NotFoundError(
                    f"no pause has the id {pause_id}: `pillarbox queue list` shows them"
                )
            lifted = Pause(**row)
            await self._audit(changed.connection, scope, _target(lifted), "pause.remove")
        return lifted

    async def find_pause(self, scope: Scope, target: Target) -> Pause:
        """The pause of exactly this target. Raises NotFoundError."""
        wanted = checked_target(_within(scope, target))
        async with reading(self._engine) as connection:
            row = (await connection.execute(_matching(wanted))).mappings().one_or_none()
        found = None if row is None else Pause(**row)
        if found is None or 0 < found.expires_at <= self._now():
            raise NotFoundError(f"there is no {describe(wanted)}")
        return found

    async def pauses(self, scope: Scope) -> tuple[Pause, ...]:
        """The pauses in force that the scope sees, oldest first."""
        statement = scoped(select(pause), pause, scope).where(~_expired(self._now()))
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.order_by(pause.c.id))
            return tuple(Pause(**row) for row in rows.mappings())

    async def forget_expired(self) -> int:
        """Drop pauses that have ended by themselves, with a line in the audit log; how many."""
        now, scope = self._now(), Scope.system(by="clock")
        async with reading(self._engine) as connection:
            found = (await connection.execute(select(pause.c.id).where(_expired(now)))).all()
        if not found:
            return 0
        async with change(self._engine, Part.OPERATIONS) as changed:
            ended = delete(pause).where(_expired(now)).returning(pause)
            rows = (await changed.connection.execute(ended)).mappings().all()
            for row in rows:
                over = Pause(**row)
                words = _with_end(over.reason, over.expires_at)
                await self._audit(changed.connection, scope, _target(over), "pause.end", words)
        return len(rows)

    async def _standing(
        self, connection: AsyncConnection, wanted: Target, now: int
    ) -> Pause | None:
        """The pause of this target that is in force; one that has expired makes room."""
        row = (await connection.execute(_matching(wanted))).mappings().one_or_none()
        if row is None:
            return None
        found = Pause(**row)
        if not 0 < found.expires_at <= now:
            return found
        await connection.execute(delete(pause).where(pause.c.id == found.id))
        return None

    async def _prolong(
        self, connection: AsyncConnection, scope: Scope, standing: Pause, end: int
    ) -> Pause:
        longer = later(standing.expires_at, end)
        if longer == standing.expires_at:
            return standing
        moved = update(pause).where(pause.c.id == standing.id).values(expires_at=longer)
        await connection.execute(moved)
        words = _with_end(standing.reason, longer)
        await self._audit(connection, scope, _target(standing), "pause.prolong", words)
        return replace(standing, expires_at=longer)

    async def _move_switch(self, scope: Scope, *, is_on: bool, reason: str) -> KillStatus:
        if not scope.is_system:
            raise UsageError("only the box's admin may use the kill switch")
        values = {"is_on": is_on, "by": scope.by, "at": self._now(), "reason": reason}
        moved = update(kill_switch).where(kill_switch.c.is_on != is_on).values(values)
        async with change(self._engine, Part.OPERATIONS) as changed:
            result = await changed.connection.execute(moved)
            if result.rowcount:
                await record(
                    changed.connection,
                    scope,
                    Act(
                        tenant_id=BOX,
                        at=self._now(),
                        action="kill-switch.on" if is_on else "kill-switch.off",
                        subject="kill switch",
                        detail=reason,
                    ),
                )
            return await _status(changed.connection)

    async def _audit(
        self,
        connection: AsyncConnection,
        scope: Scope,
        target: Target,
        action: str,
        detail: str = "",
    ) -> None:
        await record(
            connection,
            scope,
            Act(
                tenant_id=target.tenant_id,
                at=self._now(),
                action=action,
                subject=describe(target),
                detail=detail,
            ),
        )


async def _status(connection: AsyncConnection) -> KillStatus:
    columns = (
        kill_switch.c.is_on,
        kill_switch.c.by,
        kill_switch.c.at,
        kill_switch.c.reason,
    )
    return KillStatus(**(await connection.execute(select(*columns))).mappings().one())


def _within(scope: Scope, target: Target) -> Target:
    """A tenant pauses only its own mail; the system may leave the tenant open."""
    if scope.tenant_id is None:
        return target
    return replace(target, tenant_id=scope.owner(target.tenant_id or None))


def _columns(target: Target) -> dict[str, int | str]:
    return {one.name: getattr(target, one.name) for one in fields(Target)}


def _target(found: Pause) -> Target:
    return Target(**{one.name: getattr(found, one.name) for one in fields(Target)})


def _matching(target: Target) -> Select[tuple[object, ...]]:
    same = [pause.c[name] == value for name, value in _columns(target).items()]
    return select(pause).where(*same)


def _expired(now: int) -> ColumnElement[bool]:
    return and_(pause.c.expires_at > 0, pause.c.expires_at <= now)


def _with_end(words: str, expires_at: int) -> str:
    return f"{words} (until {clock.iso(expires_at)[:16]}Z)" if expires_at else words
