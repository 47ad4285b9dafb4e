"""The audit log: every change by a person, written in the transaction of the change itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from appliance.core.database import reading, transaction
from appliance.core.scope import scoped
from appliance.tenancy.model import AuditEntry, AuditFilter
from appliance.tenancy.tables import audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope
    from appliance.tenancy.model import Act

_MAX_PAGE = 1000


async def record(connection: AsyncConnection, scope: Scope, act: Act) -> None:
    """Add an entry, in the transaction of the change."""
    entry = {
        "at": act.at,
        "tenant_id": act.tenant_id,
        "by": scope.by,
        "action": act.action,
        "record": act.subject,
        "detail": act.detail,
        "address": scope.address,
    }
    await connection.execute(insert(audit), entry)


class AuditLog:
    """The log, newest first."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(self, scope: Scope, act: Act) -> None:
        """Add an entry of something that changed nothing."""
        async with transaction(self._engine) as connection:
            await record(connection, scope, act)

    async def list(
        self,
        scope: Scope,
        wanted: AuditFilter | None = None,
        *,
        before: int = 0,
        limit: int = 100,
    ) -> tuple[AuditEntry, ...]:
        """A page of entries older than the entry `before` (0 = from the newest)."""
        statement = scoped(select(audit), audit, scope).order_by(audit.c.id.desc())
        statement = statement.where(*_matching(wanted or AuditFilter()))
        if before:
            statement = statement.where(audit.c.id < before)
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.limit(min(limit, _MAX_PAGE)))
            return tuple(AuditEntry(**row) for row in rows.mappings())


def _matching(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.action:
        yield audit.c.action.startswith(wanted.action, autoescape=True)
    if wanted.by:
        yield audit.c.by == wanted.by
    if wanted.record:
        yield audit.c.record == wanted.record
    if wanted.address:
        yield audit.c.address == wanted.address
    if wanted.since:
        yield audit.c.at >= wanted.since
    if wanted.until:
        yield audit.c.at < wanted.until
