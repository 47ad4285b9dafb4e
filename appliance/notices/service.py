"""Use cases of notices: raise, resolve, list, mark as seen, forget.

Each is one statement. Raising what stands counts it and keeps the newest words, its first time and
whether a person saw it; what was resolved and comes back is a new notice. A tenant sees its own
notices, the system all; only the system may raise one for another tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, delete, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import NotFoundError
from appliance.core.scope import BOX, scoped
from appliance.notices.model import Notice, Severity
from appliance.notices.tables import OPEN, notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.scope import Scope
    from appliance.notices.model import Finding

_MAX_PAGE: Final = 1000
_WORST_FIRST: Final = case(
    {severity: place for place, severity in enumerate(reversed(Severity))},
    value=notice.c.severity,
    else_=len(Severity),
)


class Notices:
    """What somebody should know."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def raise_(self, scope: Scope, finding: Finding) -> Notice:
        """Let a notice stand; one that stands already is counted. `count` 1 says it is new."""
        at = self._now()
        words: dict[str, Any] = {
            "severity": finding.severity,
            "text": finding.text,
            "next_step": finding.next_step,
            "last_at": at,
        }
        first = {
            "tenant_id": scope.owner(finding.tenant_id),
            "kind": finding.kind,
            "subject": finding.subject,
            "raised_at": at,
            "count": 1,
            "seen_at": 0,
            "resolved_at": 0,
        }
        async with transaction(self._engine) as connection:
            statement = (
                upsert(connection, notice)
                .values(words | first)
                .on_conflict_do_update(
                    index_elements=[notice.c.tenant_id, notice.c.kind, notice.c.subject],
                    index_where=OPEN,
                    set_=words | {"count": notice.c.count + 1},
                )
                .returning(notice)
            )
            return _to_notice((await connection.execute(statement)).mappings().one())

    async def resolve(self, scope: Scope, kind: str, subject: str, *, tenant_id: int = BOX) -> bool:
        """It is over; returns whether it stood."""
        statement = update(notice).where(
            notice.c.tenant_id == scope.owner(tenant_id),
            notice.c.kind == kind,
            notice.c.subject == subject,
            notice.c.resolved_at == 0,
        )
        async with transaction(self._engine) as connection:
            result = await connection.execute(statement.values(resolved_at=self._now()))
            return bool(result.rowcount)

    async def list(
        self, scope: Scope, *, kind: str = "", open_only: bool = True, limit: int = 200
    ) -> tuple[Notice, ...]:
        """What stands, worst and newest first; without `open_only` what is over too, behind it."""
        statement = scoped(select(notice), notice, scope)
        if kind:
            statement = statement.where(notice.c.kind == kind)
        if open_only:
            statement = statement.where(notice.c.resolved_at == 0)
        is_over = case((notice.c.resolved_at == 0, 0), else_=1)
        ordered = statement.order_by(is_over, _WORST_FIRST, notice.c.raised_at.desc(), notice.c.id)
        async with reading(self._engine) as connection:
            rows = await connection.execute(ordered.limit(min(limit, _MAX_PAGE)))
            return tuple(map(_to_notice, rows.mappings()))

    async def raised_since(
        self, scope: Scope, after: int, *, limit: int = 200
    ) -> tuple[Notice, ...]:
        """Notices with a higher id than `after`, oldest first, whether or not they stand."""
        statement = scoped(select(notice), notice, scope).where(notice.c.id > after)
        ordered = statement.order_by(notice.c.id).limit(min(limit, _MAX_PAGE))
        async with reading(self._engine) as connection:
            rows = await connection.execute(ordered)
            return tuple(map(_to_notice, rows.mappings()))

    async def mark_seen(self, scope: Scope, notice_id: int) -> Notice:
        """A person took note of it; the first time counts. Raises NotFoundError."""
        first_time = case((notice.c.seen_at == 0, self._now()), else_=notice.c.seen_at)
        statement = scoped(update(notice), notice, scope).where(notice.c.id == notice_id)
        async with transaction(self._engine) as connection:
            rows = await connection.execute(statement.values(seen_at=first_time).returning(notice))
            row = rows.mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"no notice has the id {notice_id}: `pillarbox notices` shows them")
        return _to_notice(row)

    async def forget(self, scope: Scope, before: int) -> int:
        """Drop what was over before `before`; returns how many."""
        statement = scoped(delete(notice), notice, scope).where(
            notice.c.resolved_at > 0, notice.c.resolved_at < before
        )
        async with transaction(self._engine) as connection:
            return int((await connection.execute(statement)).rowcount)


def _to_notice(row: RowMapping) -> Notice:
    return Notice(**{**row, "severity": Severity(row["severity"])})
