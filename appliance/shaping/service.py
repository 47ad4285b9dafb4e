"""Use cases of shaping: save, read, lift and forget throttles.

Promises: of two versions of a throttle the one changed later stays, whoever saves first; what is
lifted stays as ended until `forget`, so that no process that missed the news brings it back. A row
that cannot be read is logged and passed over: the box learns it anew.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import scoped
from appliance.shaping.rules import to_row, to_throttle
from appliance.shaping.tables import throttle
from appliance.tenancy import Act, record
from appliance.tenancy.rules import checked_reason
from mta.shaping.moves import lift

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.control import Change
    from appliance.core.scope import Scope
    from mta.shaping.throttle import Subject, Throttle

_log = logging.getLogger(__name__)
_KEY = (throttle.c.egress, throttle.c.zone, throttle.c.tenant_id, throttle.c.domain)


class ThrottleStore:
    """The throttles of all processes."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def save(self, rows: Sequence[Throttle]) -> None:
        """Store what has changed, where nothing newer is stored."""
        if rows:
            async with change(self._engine, Part.SHAPING) as changed:
                await _put(changed, rows)

    async def since(self, generation: int) -> tuple[Throttle, ...]:
        """What was stored after this generation; 0 = everything."""
        return await self._read(select(throttle).where(throttle.c.generation > generation))

    async def all(self, scope: Scope) -> tuple[Throttle, ...]:
        """Everything the scope may see, what is over included; the latest change first."""
        statement = scoped(select(throttle), throttle, scope)
        return await self._read(statement.order_by(throttle.c.changed_at.desc()))

    async def suspended(self, scope: Scope, *, limit: int = 100) -> tuple[Throttle, ...]:
        """Those to which nothing goes at this moment; the latest change first."""
        statement = scoped(select(throttle), throttle, scope)
        wanted = statement.where(throttle.c.suspended_until > self._now())
        return await self._read(wanted.order_by(throttle.c.changed_at.desc()).limit(limit))

    async def lift(self, scope: Scope, subject: Subject, *, reason: str) -> Throttle:
        """End a throttle now. Raises NotFoundError when nothing is in force for the subject."""
        if not scope.is_system:
            raise UsageError("only the box's admin may lift a throttle")
        words = checked_reason(reason)
        async with change(self._engine, Part.SHAPING) as changed:
            found = await changed.connection.execute(_of(subject))
            row = found.mappings().one_or_none()
            standing = None if row is None else _read(row)
            if standing is None or not standing.in_force:
                raise NotFoundError(
                    f"nothing slows {subject}: `pillarbox shaping explain DOMAIN` shows what does"
                )
            lifted = lift(standing, self._now(), by=scope.by, reason=words)
            await _put(changed, [lifted])
            act = Act(
                tenant_id=subject.tenant_id,
                at=self._now(),
                action="throttle.lift",
                subject=f"throttle of {subject}",
                detail=words,
            )
            await record(changed.connection, scope, act)
        return lifted

    async def lift_all(self, scope: Scope, egress: str, *, reason: str) -> int:
        """End every throttle of an egress; returns how many there were."""
        standing = [each for each in await self.all(scope) if each.subject.egress == egress]
        lifted = 0
        for each in standing:
            if each.in_force:
                with suppress(NotFoundError):  # it has just ended by itself
                    await self.lift(scope, each.subject, reason=reason)
                    lifted += 1
        return lifted

    async def forget(self, before: int) -> None:
        """Drop what has not changed since, whose suspension is over; leave weeks, not hours.

        A throttle in force moves by itself within its quiet time: one that does not has no process.
        """
        old = (throttle.c.changed_at < before, throttle.c.suspended_until < before)
        async with transaction(self._engine) as connection:
            await connection.execute(delete(throttle).where(*old))

    async def _read(self, statement: Select[Any]) -> tuple[Throttle, ...]:
        async with reading(self._engine) as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return tuple(found for row in rows if (found := _read(row)) is not None)


async def _put(changed: Change, rows: Sequence[Throttle]) -> None:
    statement = upsert(changed.connection, throttle)
    fresh = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={column.name: fresh[column.name] for column in throttle.c if not column.primary_key},
        where=throttle.c.changed_at < fresh.changed_at,
    )
    values = [{**to_row(row), "generation": changed.generation} for row in rows]
    await changed.connection.execute(statement, values)


def _of(subject: Subject) -> Select[Any]:
    same = (column == value for column, value in zip(_KEY, subject, strict=True))
    return select(throttle).where(*same)


def _read(row: Mapping[str, Any]) -> Throttle | None:
    try:
        return to_throttle(row)
    except ValueError as error:
        _log.warning("throttle of %s at %s passed over: %s", row["egress"], row["zone"], error)
        return None
