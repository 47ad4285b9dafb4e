"""Use cases of operations: kill switch on, off, status; pause, resume, list.

Moving the switch to where it stands changes nothing, so the first who, when and why are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import BOX, scoped
from appliance.operations.model import KillStatus, Target
from appliance.operations.rules import checked_target, describe
from appliance.operations.tables import kill_switch, pause
from appliance.tenancy import Act, record
from appliance.tenancy.rules import checked_reason
from mta.directory import Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope


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

    async def pause(self, scope: Scope, target: Target, *, reason: str) -> Pause:
        """Let matching mail wait. Pausing what is paused already returns the pause that stands."""
        wanted = checked_target(_within(scope, target))
        words = checked_reason(reason)
        async with change(self._engine, Part.OPERATIONS) as changed:
            standing = await changed.connection.execute(_matching(wanted))
            row = standing.mappings().one_or_none()
            if row is not None:
                return Pause(**row)
            values = {
                **_columns(wanted),
                "reason": words,
                "by": scope.by,
                "at": self._now(),
            }
            made = await changed.connection.execute(insert(pause).values(values).returning(pause))
            found = Pause(**made.mappings().one())
            await self._audit(changed.connection, scope, wanted, "pause.add", words)
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
        if row is None:
            raise NotFoundError(f"there is no {describe(wanted)}")
        return Pause(**row)

    async def pauses(self, scope: Scope) -> tuple[Pause, ...]:
        """The pauses the scope sees, oldest first."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(
                scoped(select(pause), pause, scope).order_by(pause.c.id)
            )
            return tuple(Pause(**row) for row in rows.mappings())

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
    return Target(
        tenant_id=scope.owner(target.tenant_id or None),
        domain=target.domain,
        credential_id=target.credential_id,
        site=target.site,
    )


def _columns(target: Target) -> dict[str, int | str]:
    return {
        "tenant_id": target.tenant_id,
        "domain": target.domain,
        "credential_id": target.credential_id,
        "site": target.site,
    }


def _target(found: Pause) -> Target:
    return Target(
        tenant_id=found.tenant_id,
        domain=found.domain,
        credential_id=found.credential_id,
        site=found.site,
    )


def _matching(target: Target) -> Select[tuple[object, ...]]:
    same = [pause.c[name] == value for name, value in _columns(target).items()]
    return select(pause).where(*same)
