"""The statements on domains and their keys, each inside a transaction that its caller holds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, func, select, update

from appliance.core import tasks
from appliance.core.database import in_pages
from appliance.core.errors import NotFoundError
from appliance.core.scope import Scope, scoped
from appliance.domains.model import DomainKey, DomainRecord, KeyState, Report
from appliance.domains.tables import domain, domain_key
from mta.message import ReturnPathMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

_KEY_COLUMNS = (
    "id",
    "domain_id",
    "selector",
    "algorithm",
    "public_key",
    "state",
    "created_at",
    "updated_at",
    "withdraw_at",
)


async def load(
    connection: AsyncConnection, scope: Scope, statement: Select[Any] | None = None
) -> tuple[DomainRecord, ...]:
    """Domains with their keys: those of `statement`, or all that the scope sees."""
    wanted = scoped(select(domain) if statement is None else statement, domain, scope)
    rows = [
        row
        async for page in in_pages(connection, wanted.order_by(domain.c.name, domain.c.id))
        for row in page
    ]
    keys = await _keys(
        connection, scope, [row["id"] for row in rows] if statement is not None else None
    )
    return tuple([_to_record(row, keys.get(row["id"], ())) async for row in tasks.in_turns(rows)])


async def page(
    connection: AsyncConnection, scope: Scope, after: int, limit: int, prefix: str = ""
) -> tuple[DomainRecord, ...]:
    """Those behind an id whose names begin so, in the order of ids."""
    ids = scoped(select(domain.c.id), domain, scope).where(domain.c.id > after)
    if prefix:
        ids = ids.where(domain.c.name.startswith(prefix, autoescape=True))
    rows = await connection.execute(ids.order_by(domain.c.id).limit(limit))
    wanted = select(domain).where(domain.c.id.in_([row.id for row in rows]))
    found = await load(connection, scope, wanted)
    return tuple(sorted(found, key=lambda one: one.id))


async def counts(connection: AsyncConnection, scope: Scope) -> tuple[int, int]:
    """How many there are, and how many of them are verified."""
    verified = func.count().filter(domain.c.verified_at > 0)
    both: Any = select(func.count(), verified).select_from(domain)
    wanted = scoped(both, domain, scope)
    every, proved = (await connection.execute(wanted)).one()
    return int(every), int(proved)


async def get(connection: AsyncConnection, scope: Scope, name: str, tenant_id: int) -> DomainRecord:
    """The tenant's domain of that name. Raises NotFoundError."""
    wanted = select(domain).where(domain.c.name == name, domain.c.tenant_id == tenant_id)
    found = await load(connection, scope, wanted)
    if not found:
        raise NotFoundError(f"the tenant has no domain {name}: `pillarbox domain list` shows them")
    return found[0]


async def verified_owners(connection: AsyncConnection, name: str) -> dict[str, int]:
    """Who has verified the name, in any tenant: only the system may know."""
    rows = await connection.execute(
        select(domain.c.name, domain.c.tenant_id).where(
            domain.c.name == name, domain.c.verified_at > 0
        )
    )
    return {row.name: row.tenant_id for row in rows}


async def set_domain(
    connection: AsyncConnection, domain_id: int, values: Mapping[str, Any]
) -> None:
    """Change columns of one domain."""
    await connection.execute(update(domain).where(domain.c.id == domain_id).values(**values))


async def set_states(
    connection: AsyncConnection, changes: Mapping[int, tuple[KeyState, int]], now: int
) -> None:
    """Move keys to other states."""
    for key_id, (state, withdraw_at) in sorted(changes.items()):
        values = {"state": state, "withdraw_at": withdraw_at, "updated_at": now}
        await connection.execute(
            update(domain_key).where(domain_key.c.id == key_id).values(**values)
        )


async def sealed_keys(
    connection: AsyncConnection, ids: Iterable[int]
) -> list[tuple[int, str, str]]:
    """Key id, what it is bound to, and the encrypted private key."""
    columns = (
        domain_key.c.id,
        domain_key.c.domain_id,
        domain_key.c.selector,
        domain_key.c.private_key,
    )
    rows = await connection.execute(select(*columns).where(domain_key.c.id.in_(ids)))
    return [
        (key_id, bound_to(domain_id, selector), text) for key_id, domain_id, selector, text in rows
    ]


def bound_to(domain_id: int, selector: str) -> str:
    """The place of a private key; encrypted for it, it decrypts nowhere else."""
    return f"domain_key:private_key:{domain_id}/{selector}"


async def _keys(
    connection: AsyncConnection, scope: Scope, domain_ids: list[int] | None
) -> dict[int, tuple[DomainKey, ...]]:
    statement = scoped(select(*(domain_key.c[name] for name in _KEY_COLUMNS)), domain_key, scope)
    if domain_ids is not None:
        statement = statement.where(domain_key.c.domain_id.in_(domain_ids))
    found: dict[int, list[DomainKey]] = defaultdict(list)
    async for page in in_pages(connection, statement.order_by(domain_key.c.id.desc())):
        for row in page:
            found[row["domain_id"]].append(DomainKey(**{**row, "state": KeyState(row["state"])}))
    return {domain_id: tuple(keys) for domain_id, keys in found.items()}


def _to_record(row: RowMapping, keys: tuple[DomainKey, ...]) -> DomainRecord:
    mode, checks = row["return_path_mode"], row["checks"]
    values = {name: value for name, value in row.items() if name != "checks"}
    values["return_path_mode"] = ReturnPathMode(mode) if mode else None
    report = msgspec.json.decode(checks, type=Report) if checks else None
    return DomainRecord(**values, report=report, keys=keys)
