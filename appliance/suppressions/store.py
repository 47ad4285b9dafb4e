"""The statements on suppressions, each inside a transaction that its caller holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, delete, or_, select, update

from appliance.core.database import upsert
from appliance.suppressions.model import Entry, Reason, SoftBounce, SoftBounceRule, SuppressionEvent
from appliance.suppressions.rules import is_repeated
from appliance.suppressions.tables import applied_event, soft_bounce, suppression

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import RowMapping, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.core.control import Change

_COLUMNS = ("id", "tenant_id", "target", "reason", "event_id", "created_at", "expires_at")
_KEY = [suppression.c.tenant_id, suppression.c.target]


def entries() -> Select[Any]:
    """Suppressions that were not removed."""
    return select(*(suppression.c[name] for name in _COLUMNS)).where(suppression.c.removed_at == 0)


def to_entry(row: RowMapping) -> Entry:
    """A row of `entries` as a value."""
    return Entry(**{**row, "reason": Reason(row["reason"])})


async def put(changed: Change, rows: Sequence[dict[str, Any]], *, replace: bool) -> int:
    """Write suppressions; returns how many changed.

    `replace` overwrites one that stands (a person decided). Otherwise one that stands for good is
    kept as it is, and one with an end is made lasting: an event says more than a date.
    """
    unique = {(row["tenant_id"], row["target"]): row for row in rows}
    if not unique:
        return 0
    ordered = [
        {**unique[key], "removed_at": 0, "generation": changed.generation} for key in sorted(unique)
    ]
    statement = upsert(changed.connection, suppression)
    fresh = ("reason", "event_id", "created_at", "expires_at", "removed_at", "generation")
    weaker = or_(suppression.c.removed_at > 0, suppression.c.expires_at > 0)
    statement = statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: statement.excluded[name] for name in fresh},
        where=None if replace else weaker,
    )
    written = await changed.connection.execute(statement.returning(suppression.c.id), ordered)
    return len(written.all())


async def bury(changed: Change, where: Any, *, at: int) -> list[Entry]:
    """Turn what matches into tombstones and return what it was."""
    statement = (
        update(suppression)
        .where(suppression.c.removed_at == 0, where)
        .values(removed_at=at, generation=changed.generation)
        .returning(*(suppression.c[name] for name in _COLUMNS))
    )
    rows = await changed.connection.execute(statement)
    return [to_entry(row) for row in rows.mappings()]


async def claim_events(
    connection: AsyncConnection, events: Sequence[SuppressionEvent] | Sequence[SoftBounce]
) -> set[str]:
    """The ids among these that were never applied before; they are now."""
    rows = sorted({event.event_id: event.at for event in events}.items())
    if not rows:
        return set()
    statement = upsert(connection, applied_event).on_conflict_do_nothing()
    fresh = await connection.execute(
        statement.returning(applied_event.c.event_id),
        [{"event_id": event_id, "at": at} for event_id, at in rows],
    )
    return set(fresh.scalars())


async def count_soft(
    connection: AsyncConnection, bounces: Iterable[SoftBounce], rule: SoftBounceRule
) -> list[SoftBounce]:
    """Add to the counters; returns, for each address that passed the rule, its last bounce."""
    passed = []
    by_address: dict[tuple[int, str], list[SoftBounce]] = {}
    for bounce in bounces:
        by_address.setdefault((bounce.tenant_id, bounce.address), []).append(bounce)
    for _, same in sorted(by_address.items()):
        row = await _add_soft(connection, same)
        if is_repeated(rule, count=row["count"], first_at=row["first_at"], last_at=row["last_at"]):
            passed.append(max(same, key=lambda bounce: bounce.at))
    await forget_soft(connection, {(bounce.tenant_id, bounce.address) for bounce in passed})
    return passed


async def _add_soft(connection: AsyncConnection, same: Sequence[SoftBounce]) -> RowMapping:
    times = [bounce.at for bounce in same]
    insertion = upsert(connection, soft_bounce).values(
        tenant_id=same[0].tenant_id,
        address=same[0].address,
        count=len(same),
        first_at=min(times),
        last_at=max(times),
    )
    old, fresh = soft_bounce.c, insertion.excluded
    statement = insertion.on_conflict_do_update(
        index_elements=[old.tenant_id, old.address],
        set_={
            "count": old["count"] + fresh["count"],
            # Events may arrive out of order.
            "first_at": case((fresh.first_at < old.first_at, fresh.first_at), else_=old.first_at),
            "last_at": case((fresh.last_at > old.last_at, fresh.last_at), else_=old.last_at),
        },
    ).returning(soft_bounce)
    row: RowMapping = (await connection.execute(statement)).mappings().one()
    return row


async def forget_soft(connection: AsyncConnection, keys: Collection[tuple[int, str]]) -> None:
    """Drop the counters of addresses: they were delivered to, or are suppressed now."""
    if not keys:
        return
    statement = delete(soft_bounce).where(
        soft_bounce.c.tenant_id == bindparam("b_tenant"),
        soft_bounce.c.address == bindparam("b_address"),
    )
    rows = [{"b_tenant": tenant_id, "b_address": address} for tenant_id, address in sorted(keys)]
    await connection.execute(statement, rows)
