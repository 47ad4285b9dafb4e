"""Use cases of suppressions: add, remove, list, import, export, apply events, keep a Matcher current.

Promises: imports and exports stream, in batches and pages of bounded size; a bad row is reported
and left out, the others go in; an event is applied once, and what a person removed afterwards stays
removed when the event is told again. A poisoned event is logged and passed over.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import and_, case, delete, func, or_, select, tuple_

from appliance.core import clock
from appliance.core.control import Part, change, generations
from appliance.core.database import reading, transaction
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import BOX, Scope, scoped
from appliance.suppressions import store
from appliance.suppressions.model import (
    MAX_ERRORS,
    Counted,
    Entry,
    ImportResult,
    Reason,
    RowError,
    SoftBounce,
    SoftBounceRule,
    SuppressionEvent,
)
from appliance.suppressions.rules import HEADER, Row, format_row, normal_target, parse_row
from appliance.suppressions.tables import applied_event, soft_bounce, suppression
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.control import Change
    from appliance.suppressions.matcher import Matcher

BATCH: Final = 1000
COUNTED: Final = 20_000
TOMBSTONE_LIFE: Final = 7 * clock.DAY
EVENT_LIFE: Final = 60 * clock.DAY
"""Return paths are valid for 30 days: an event cannot come again after twice that."""

_PAGE: Final = 10_000
_LAST_ID: Final = (1 << 63) - 1
_log = logging.getLogger(__name__)
E = TypeVar("E", SuppressionEvent, SoftBounce)


class SuppressionList:
    """The suppressions of all tenants and of the box."""

    def __init__(
        self,
        engine: AsyncEngine,
        now: Callable[[], int] = clock.now_ms,
        rule: SoftBounceRule | None = None,
    ) -> None:
        self._engine, self._now = engine, now
        self._rule = rule or SoftBounceRule()

    async def add(
        self,
        scope: Scope,
        target: str,
        *,
        tenant_id: int | None = None,
        reason: Reason = Reason.MANUAL,
        expires_at: int = 0,
    ) -> Entry:
        """Suppress an address or domain; adding it again replaces reason and expiry."""
        owner, wanted = _owner(scope, tenant_id), normal_target(target)
        if expires_at and expires_at <= self._now():
            raise UsageError("the expiry is in the past", field="expires_at")
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            row = self._row(owner, Row(wanted, reason, expires_at))
            await store.put(changed, [row], replace=True)
            await self._audit(changed, scope, owner, "suppression.add", f"{wanted}: {reason}")
            same = (suppression.c.tenant_id == owner, suppression.c.target == wanted)
            made = await changed.connection.execute(store.entries().where(*same))
            return store.to_entry(made.mappings().one())

    async def remove(self, scope: Scope, target: str, *, tenant_id: int | None = None) -> Entry:
        """Let the address be written to again. Raises NotFoundError."""
        owner, wanted = _owner(scope, tenant_id), normal_target(target)
        where = and_(suppression.c.tenant_id == owner, suppression.c.target == wanted)
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            removed = await store.bury(changed, where, at=self._now())
            if not removed:
                raise NotFoundError(
                    f"{wanted} is not suppressed: `pillarbox suppression list` shows who is"
                )
            await self._audit(changed, scope, owner, "suppression.remove", wanted)
        return removed[0]

    async def get(self, scope: Scope, entry_id: int) -> Entry:
        """One that stands. Raises NotFoundError."""
        found = await self.list(scope, after=entry_id - 1, limit=1)
        if not found or found[0].id != entry_id:
            raise NotFoundError(f"no suppression has the id {entry_id}")
        return found[0]

    async def of(self, scope: Scope, address: str) -> tuple[Entry, ...]:
        """What keeps an address from being written to: entries of itself and of its domain."""
        wanted = normal_target(address)
        targets = {wanted, wanted.rpartition("@")[2]}
        statement = self._standing(scope).where(suppression.c.target.in_(targets))
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.order_by(suppression.c.id).limit(_PAGE))
            return tuple(map(store.to_entry, rows.mappings()))

    async def list(
        self,
        scope: Scope,
        *,
        after: int = 0,
        limit: int = 100,
        prefix: str = "",
        reason: Reason | None = None,
    ) -> tuple[Entry, ...]:
        """A page of what stands now, in the order of ids above `after`."""
        statement = self._standing(scope).where(suppression.c.id > after)
        if reason is not None:
            statement = statement.where(suppression.c.reason == reason)
        if prefix:
            statement = statement.where(
                suppression.c.target.startswith(prefix.lower(), autoescape=True)
            )
        async with reading(self._engine) as connection:
            rows = await connection.execute(
                statement.order_by(suppression.c.id).limit(min(limit, _PAGE))
            )
            return tuple(map(store.to_entry, rows.mappings()))

    async def counts(self, scope: Scope, most: int = COUNTED) -> Counted:
        """How many stand, by reason, of at most so many rows: counting a million would take a second."""
        c = suppression.c
        some = scoped(select(c.reason, c.expires_at, c.removed_at), suppression, scope)
        rows = some.limit(most + 1).subquery()
        live = and_(
            rows.c.removed_at == 0,
            or_(rows.c.expires_at == 0, rows.c.expires_at > self._now()),
        )
        counted = select(rows.c.reason, func.sum(case((live, 1), else_=0)), func.count()).group_by(
            rows.c.reason
        )
        async with reading(self._engine) as connection:
            found = (await connection.execute(counted)).all()
        return Counted(
            by_reason={Reason(reason): int(number) for reason, number, _ in found if number},
            is_cut=sum(every for _, _, every in found) > most,
        )

    async def remove_many(self, scope: Scope, entry_ids: Collection[int]) -> tuple[Entry, ...]:
        """Let several be written to again; those that are not there any more, or not seen, are passed over."""
        wanted = sorted(set(entry_ids))[:BATCH]
        where: ColumnElement[bool] = suppression.c.id.in_(wanted)
        if scope.tenant_id is not None:
            where = and_(where, suppression.c.tenant_id == scope.tenant_id)
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            removed = await store.bury(changed, where, at=self._now())
            for owner in sorted({one.tenant_id for one in removed}):
                told = ", ".join(one.target for one in removed if one.tenant_id == owner)
                await self._audit(changed, scope, owner, "suppression.remove", told)
        return tuple(removed)

    async def import_lines(
        self, scope: Scope, lines: Iterable[str], *, tenant_id: int | None = None
    ) -> ImportResult:
        """Read plain addresses or CSV (target,reason,expires), a batch a transaction."""
        remaining, result, first = iter(lines), ImportResult(imported=0, failed=0, errors=()), 1
        while batch := list(islice(remaining, BATCH)):
            more = await self.import_batch(scope, batch, first, tenant_id=tenant_id)
            result, first = result.plus(more), first + len(batch)
        await self.note_import(scope, result, tenant_id=tenant_id)
        return result

    async def import_batch(
        self, scope: Scope, lines: Sequence[str], first: int, *, tenant_id: int | None = None
    ) -> ImportResult:
        """Some lines of an import, the first of which has that number; done again it changes nothing."""
        owner, reader = _owner(scope, tenant_id), _ImportReader(self._now())
        rows = [self._row(owner, row) for row in reader.read(enumerate(lines, first))]
        imported = 0
        if rows:
            async with change(self._engine, Part.SUPPRESSIONS) as changed:
                imported = await store.put(changed, rows, replace=True)
        return ImportResult(imported=imported, failed=reader.failed, errors=tuple(reader.errors))

    async def note_import(
        self, scope: Scope, result: ImportResult, *, tenant_id: int | None = None
    ) -> None:
        """An import is over: the audit log says what it did."""
        async with transaction(self._engine) as connection:
            act = Act(
                tenant_id=_owner(scope, tenant_id),
                at=self._now(),
                action="suppression.import",
                subject="suppressions",
                detail=f"{result.imported} imported, {result.failed} left out",
            )
            await record(connection, scope, act)

    async def export(self, scope: Scope) -> AsyncIterator[str]:
        """The lines of a CSV file with everything that stands now."""
        yield HEADER + "\n"
        after = 0
        while page := await self.list(scope, after=after, limit=BATCH):
            for entry in page:
                yield format_row(entry)
            after = page[-1].id

    async def apply_events(self, events: Sequence[SuppressionEvent]) -> int:
        """Suppress what bounced for good, complained or unsubscribed; returns how many are new."""
        good = [found for event in events if (found := _normal(event)) is not None]
        if not good:
            return 0
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            fresh = await store.claim_events(changed.connection, good)
            rows = [_event_row(event) for event in good if event.event_id in fresh]
            return await store.put(changed, rows, replace=False)

    async def apply_soft_bounces(self, bounces: Sequence[SoftBounce]) -> int:
        """Count soft bounces and suppress the addresses that pass the rule; returns how many."""
        good = [found for bounce in bounces if (found := _normal(bounce)) is not None]
        if not good:
            return 0
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            fresh = await store.claim_events(changed.connection, good)
            new = {bounce.event_id: bounce for bounce in good if bounce.event_id in fresh}
            passed = await store.count_soft(changed.connection, new.values(), self._rule)
            rows = [
                _event_row(SuppressionEvent(*one[:3], Reason.REPEATED_SOFT_BOUNCES, one.at))
                for one in passed
            ]
            return await store.put(changed, rows, replace=False)

    async def note_deliveries(self, delivered: Iterable[tuple[int, str]]) -> None:
        """A delivery clears the soft bounces of (tenant, address)."""
        keys = {(tenant_id, address.lower()) for tenant_id, address in delivered}
        async with transaction(self._engine) as connection:
            await store.forget_soft(connection, keys)

    async def touched(self, after: int, limit: int) -> frozenset[int] | None:
        """Whose suppressions changed after this generation; None when that is more than to look at."""
        some = (
            select(suppression.c.tenant_id)
            .where(suppression.c.generation > after)
            .order_by(suppression.c.generation)
            .limit(limit)
            .subquery()
        )
        statement = select(some.c.tenant_id, func.count()).group_by(some.c.tenant_id)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(statement)).all()
        if sum(number for _, number in rows) >= limit:
            return None
        return frozenset(tenant_id for tenant_id, _ in rows)

    async def refresh(self, matcher: Matcher) -> None:
        """Bring a matcher up to date; the first time it takes in everything, page by page.

        The generation is read before the rows: a change meanwhile is seen again, never missed.
        """
        async with reading(self._engine) as connection:
            newest = (await generations(connection))[Part.SUPPRESSIONS]
        first = matcher.generation < 0
        place = (0, 0) if first else (matcher.generation, _LAST_ID)
        while newest > matcher.generation:
            page = await self._page(place, whole=first)
            for _, _, tenant_id, target, expires_at, removed_at in page:
                if removed_at:
                    matcher.discard(tenant_id, target)
                else:
                    matcher.add(tenant_id, target, expires_at)
            if len(page) < _PAGE:
                matcher.generation = newest
                return
            place = page[-1][:2]

    async def _page(self, after: tuple[int, int], *, whole: bool) -> Sequence[Any]:
        """What follows the place (generation, id): changes in their order, or all that stands by id."""
        table = suppression.c
        columns = (table.generation, table.id, table.tenant_id, table.target)
        statement = select(*columns, table.expires_at, table.removed_at)
        if whole:
            statement = statement.where(table.id > after[1], table.removed_at == 0).order_by(
                table.id
            )
        else:
            place = tuple_(table.generation, table.id)
            statement = statement.where(place > after).order_by(table.generation, table.id)
        async with reading(self._engine) as connection:
            return (await connection.execute(statement.limit(_PAGE))).all()

    async def tidy(self) -> None:
        """Bury what expired, drop old tombstones, old event ids and stale counters."""
        now = self._now()
        expired = and_(suppression.c.expires_at > 0, suppression.c.expires_at <= now)
        async with change(self._engine, Part.SUPPRESSIONS) as changed:
            await store.bury(changed, expired, at=now)
            old = and_(
                suppression.c.removed_at > 0, suppression.c.removed_at < now - TOMBSTONE_LIFE
            )
            await changed.connection.execute(delete(suppression).where(old))
            await changed.connection.execute(
                delete(applied_event).where(applied_event.c.at < now - EVENT_LIFE)
            )
            await changed.connection.execute(
                delete(soft_bounce).where(soft_bounce.c.last_at < now - EVENT_LIFE)
            )

    def _standing(self, scope: Scope) -> Select[Any]:
        live = or_(suppression.c.expires_at == 0, suppression.c.expires_at > self._now())
        return scoped(store.entries(), suppression, scope).where(live)

    def _row(self, owner: int, row: Row) -> dict[str, Any]:
        return {
            "tenant_id": owner,
            "target": row.target,
            "reason": row.reason,
            "event_id": "",
            "created_at": self._now(),
            "expires_at": row.expires_at,
        }

    async def _audit(
        self, changed: Change, scope: Scope, owner: int, action: str, detail: str
    ) -> None:
        await record(
            changed.connection,
            scope,
            Act(
                tenant_id=owner,
                at=self._now(),
                action=action,
                subject="suppressions",
                detail=detail,
            ),
        )


class _ImportReader:
    """Reads the rows of an import; keeps the first problems and the count of all."""

    def __init__(self, now: int) -> None:
        self._now = now
        self.failed = 0
        self.errors: list[RowError] = []

    def read(self, batch: Iterable[tuple[int, str]]) -> list[Row]:
        rows = []
        for number, line in batch:
            try:
                row = parse_row(line)
            except UsageError as error:
                self._note(number, line, str(error))
                continue
            if row is not None and row.expires_at and row.expires_at <= self._now:
                self._note(number, line, "it has expired already")
            elif row is not None:
                rows.append(row)
        return rows

    def _note(self, number: int, line: str, problem: str) -> None:
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(RowError(line=number, text=line.strip()[:80], problem=problem))


def _owner(scope: Scope, tenant_id: int | None) -> int:
    """Without a tenant the system means the whole box."""
    return scope.owner(BOX if scope.is_system and tenant_id is None else tenant_id)


def _normal(event: E) -> E | None:
    try:
        return event._replace(address=normal_target(event.address))
    except UsageError as error:
        _log.warning("event %s is passed over: %s", event.event_id, error)
        return None


def _event_row(event: SuppressionEvent) -> dict[str, Any]:
    return {
        "tenant_id": event.tenant_id,
        "target": event.address,
        "reason": event.reason,
        "event_id": event.event_id,
        "created_at": event.at,
        "expires_at": 0,
    }
