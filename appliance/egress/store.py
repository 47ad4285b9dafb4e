"""The statements on egresses and pools, each inside a transaction that its caller holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from appliance.core.errors import NotFoundError
from appliance.egress.model import AddressCheck, EgressRecord, PoolRecord
from appliance.egress.tables import egress, pool, pool_member
from mta.egress import EgressState, Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection


async def egresses(connection: AsyncConnection) -> dict[str, EgressRecord]:
    """Every egress, by name."""
    rows = (await connection.execute(select(egress).order_by(egress.c.name))).mappings()
    return {row["name"]: _to_egress(row) for row in rows}


async def get_egress(connection: AsyncConnection, name: str) -> EgressRecord:
    """One egress. Raises NotFoundError."""
    wanted = name.strip().lower()
    rows = await connection.execute(select(egress).where(egress.c.name == wanted))
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no egress is named {name!r}: `pillarbox egress list` shows them")
    return _to_egress(row)


async def add_egress(connection: AsyncConnection, made: EgressRecord) -> None:
    """A new row. IntegrityError when the name is taken."""
    await connection.execute(insert(egress), {**asdict(made), "checks": encoded(made.checks)})


async def set_egress(connection: AsyncConnection, name: str, values: Mapping[str, Any]) -> None:
    """Change columns of one egress."""
    await connection.execute(update(egress).where(egress.c.name == name).values(**values))


async def delete_egress(connection: AsyncConnection, name: str) -> None:
    """Take it out of its pools and of the table."""
    await connection.execute(delete(pool_member).where(pool_member.c.egress == name))
    await connection.execute(delete(egress).where(egress.c.name == name))


async def pools(connection: AsyncConnection) -> dict[str, PoolRecord]:
    """Every pool, by name."""
    members: dict[str, list[Member]] = defaultdict(list)
    for row in await connection.execute(select(pool_member).order_by(pool_member.c.egress)):
        members[row.pool].append(Member(egress=row.egress, weight=row.weight))
    rows = (await connection.execute(select(pool).order_by(pool.c.name))).mappings()
    return {
        row["name"]: PoolRecord(**row, members=tuple(members.get(row["name"], ()))) for row in rows
    }


async def put_pool(connection: AsyncConnection, made: PoolRecord, *, is_new: bool) -> None:
    """Write the pool with its members; as the default, no other one is it any more."""
    if made.is_default:
        await connection.execute(update(pool).where(pool.c.is_default).values(is_default=False))
    values = {name: value for name, value in asdict(made).items() if name != "members"}
    if is_new:
        await connection.execute(insert(pool), values)
    else:
        await connection.execute(update(pool).where(pool.c.name == made.name).values(values))
        await connection.execute(delete(pool_member).where(pool_member.c.pool == made.name))
    rows = [{"pool": made.name, **asdict(member)} for member in made.members]
    await connection.execute(insert(pool_member), rows)


async def delete_pool(connection: AsyncConnection, name: str) -> None:
    """With its members; pools that fell back on it do so no more."""
    await connection.execute(update(pool).where(pool.c.fallback == name).values(fallback=""))
    await connection.execute(delete(pool_member).where(pool_member.c.pool == name))
    await connection.execute(delete(pool).where(pool.c.name == name))


def encoded(checks: Iterable[AddressCheck]) -> str:
    """Checks as they are stored."""
    return msgspec.json.encode(tuple(checks)).decode()


def _to_egress(row: RowMapping) -> EgressRecord:
    checks = msgspec.json.decode(row["checks"], type=tuple[AddressCheck, ...])
    return EgressRecord(**{**row, "state": EgressState(row["state"]), "checks": checks})
