"""The statements on warmups, each inside a transaction that its caller holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, select, update

from appliance.core.database import upsert
from appliance.warmup.model import WarmupRecord
from appliance.warmup.tables import warmup, warmup_day
from mta.warmup.model import WarmupState
from mta.warmup.schedule import Course

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection


async def load(
    connection: AsyncConnection, egress: str = "", providers: Sequence[str] = ()
) -> tuple[WarmupRecord, ...]:
    """Warmups in order of their names: of one egress, of some providers, or all."""
    statement = select(warmup).order_by(warmup.c.egress, warmup.c.provider)
    if egress:
        statement = statement.where(warmup.c.egress == egress)
    if providers:
        statement = statement.where(warmup.c.provider.in_(providers))
    rows = await connection.execute(statement)
    return tuple(_record(row) for row in rows.mappings())


async def put(connection: AsyncConnection, record: WarmupRecord) -> None:
    """Write a warmup, new or begun anew."""
    values = _columns(record)
    statement = upsert(connection, warmup).on_conflict_do_update(
        index_elements=[warmup.c.egress, warmup.c.provider], set_=values
    )
    await connection.execute(statement, values)


async def move(connection: AsyncConnection, before: WarmupRecord, after: WarmupRecord) -> bool:
    """Write what changed, unless somebody else has changed it since it was read."""
    statement = (
        update(warmup)
        .where(
            *_same(before),
            warmup.c.decided == before.decided,
            warmup.c.state == before.state,
            warmup.c.stage == before.stage,
        )
        .values(
            state=after.state,
            stage=after.stage,
            decided=after.decided,
            paused_until=after.paused_until,
            reason=after.reason,
            changed_at=after.changed_at,
        )
    )
    return bool((await connection.execute(statement)).rowcount)


async def forget(connection: AsyncConnection, egress: str) -> None:
    """Drop its warmups with their days."""
    await connection.execute(delete(warmup_day).where(warmup_day.c.egress == egress))
    await connection.execute(delete(warmup).where(warmup.c.egress == egress))


def _same(record: WarmupRecord) -> tuple[ColumnElement[bool], ...]:
    return warmup.c.egress == record.egress, warmup.c.provider == record.provider


def _columns(record: WarmupRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in warmup.c.keys()}  # noqa: SIM118 - of columns
    return {**values, "course": msgspec.json.encode(record.course).decode()}


def _record(row: RowMapping) -> WarmupRecord:
    course = msgspec.json.decode(row["course"], type=Course)
    return WarmupRecord(**{**row, "course": course, "state": WarmupState(row["state"])})
