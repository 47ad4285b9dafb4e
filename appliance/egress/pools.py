"""Use cases of pools: set (make or change), add and remove members, delete, list.

A tenant sees the shared pools and its own; only the box's admin changes them. A pool that something
refers to is deleted only by force: mail that named it then goes as if it had named none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.control import Change, Part, change
from appliance.core.database import reading
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.egress import rules, store
from appliance.egress.model import PoolChange, PoolRecord
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.credentials import Credentials
    from appliance.tenancy import Tenants
    from mta.egress import Member

_SYSTEM = Scope.system()


class Pools:
    """Groups of egress addresses, shared or one tenant's own."""

    def __init__(
        self,
        engine: AsyncEngine,
        tenants: Tenants,
        credentials: Credentials,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`tenants` and `credentials` are asked which of them use a pool."""
        self._engine, self._now = engine, now
        self._tenants, self._credentials = tenants, credentials

    async def list(self, scope: Scope) -> tuple[PoolRecord, ...]:
        """The pools the scope may use, by name."""
        async with reading(self._engine) as connection:
            found = await store.pools(connection)
        return tuple(pool for pool in found.values() if _is_visible(pool, scope))

    async def usable(self, scope: Scope, name: str, tenant_id: int) -> PoolRecord:
        """The pool, if the tenant's mail may use it. Raises NotFoundError naming those it may."""
        wanted = name.strip().lower()
        found = [pool for pool in await self.list(scope) if pool.tenant_id in (BOX, tenant_id)]
        for pool in found:
            if pool.name == wanted:
                return pool
        names = ", ".join(pool.name for pool in found) or "none: `pillarbox pool set` makes one"
        raise NotFoundError(f"no pool {name!r} is open to this tenant; it may use {names}")

    async def set(self, scope: Scope, name: str, wanted: PoolChange) -> PoolRecord:
        """Make the pool, or change what is given of it."""
        return await self._change(scope, name, lambda _: wanted, may_make=True)

    async def add(self, scope: Scope, name: str, members: Iterable[Member]) -> PoolRecord:
        """Add members, or change the weight of those it has."""
        fresh = rules.checked_members(members)

        def added(old: PoolRecord) -> PoolChange:
            merged = {member.egress: member for member in (*old.members, *fresh)}
            return PoolChange(members=tuple(merged.values()))

        return await self._change(scope, name, added)

    async def remove(self, scope: Scope, name: str, egresses: Iterable[str]) -> PoolRecord:
        """Take members out; the last one stays."""
        gone = {egress.strip().lower() for egress in egresses}

        def removed(old: PoolRecord) -> PoolChange:
            if missing := gone - {member.egress for member in old.members}:
                raise NotFoundError(f"pool {old.name} has no member {', '.join(sorted(missing))}")
            kept = tuple(member for member in old.members if member.egress not in gone)
            return PoolChange(members=kept)

        return await self._change(scope, name, removed)

    async def delete(self, scope: Scope, name: str, *, force: bool = False) -> PoolRecord:
        """Forget a pool. Raises ConflictError naming what refers to it, unless by force."""
        _only_system(scope)
        users = await self._users(name.strip().lower())
        async with change(self._engine, Part.EGRESS) as changed:
            pools = await store.pools(changed.connection)
            found = _the(pools, name)
            leaning = (f"pool {one.name}" for one in pools.values() if one.fallback == found.name)
            default = ("the box (it is the default)",) if found.is_default else ()
            references = (*default, *leaning, *(words for _, words in users))
            if references and not force:
                raise ConflictError(
                    f"pool {found.name} is used by {', '.join(references)}:"
                    " change them first, or use --force"
                )
            await store.delete_pool(changed.connection, found.name)
            await self._audit(changed, scope, found, "pool.delete", ", ".join(references))
        return found

    async def _change(
        self,
        scope: Scope,
        name: str,
        decide: Callable[[PoolRecord], PoolChange],
        *,
        may_make: bool = False,
    ) -> PoolRecord:
        _only_system(scope)
        wanted = rules.checked_name(name, "a pool")
        users = await self._users(wanted)
        async with change(self._engine, Part.EGRESS) as changed:
            pools = await store.pools(changed.connection)
            is_new = may_make and wanted not in pools
            old = PoolRecord(name=wanted, created_at=self._now()) if is_new else _the(pools, wanted)
            made = rules.changed_pool(old, decide(old))
            _check_users(made, users)
            known = await store.egresses(changed.connection)
            rules.check_pool(made, _with(pools, made), known)
            await store.put_pool(changed.connection, made, is_new=is_new)
            action = "pool.create" if is_new else "pool.update"
            await self._audit(changed, scope, made, action, _in_words(made))
        return made

    async def _users(self, name: str) -> Sequence[tuple[int, str]]:
        """Who names the pool: the tenant's id, and words."""
        tenants = [
            (one.id, f"tenant {one.name}")
            for one in await self._tenants.list(_SYSTEM)
            if name in (one.pool, one.bulk_pool, one.transactional_pool)
        ]
        credentials = [
            (one.tenant_id, f"credential {one.id} ({one.name})")
            for one in await self._credentials.list(_SYSTEM)
            if one.policy.pool == name and not one.revoked_at
        ]
        return tenants + credentials

    async def _audit(
        self, changed: Change, scope: Scope, made: PoolRecord, action: str, detail: str
    ) -> None:
        act = Act(
            tenant_id=made.tenant_id,
            at=self._now(),
            action=action,
            subject=f"pool {made.name}",
            detail=detail,
        )
        await record(changed.connection, scope, act)


def _with(pools: dict[str, PoolRecord], made: PoolRecord) -> dict[str, PoolRecord]:
    """The pools as they will be: the default is one only."""
    if made.is_default:
        pools = {name: replace(pool, is_default=False) for name, pool in pools.items()}
    return {**pools, made.name: made}


def _the(pools: dict[str, PoolRecord], name: str) -> PoolRecord:
    found = pools.get(name.strip().lower())
    if found is None:
        raise NotFoundError(f"no pool is named {name!r}: `pillarbox pool list` shows them")
    return found


def _check_users(made: PoolRecord, users: Sequence[tuple[int, str]]) -> None:
    """A pool does not become one tenant's own under the feet of others."""
    others = [words for tenant_id, words in users if made.tenant_id not in (BOX, tenant_id)]
    if others:
        raise ConflictError(
            f"pool {made.name} is used by {', '.join(others)}: change them before it becomes"
            " another tenant's own"
        )


def _in_words(made: PoolRecord) -> str:
    members = " ".join(f"{member.egress}={member.weight}" for member in made.members)
    fallback = f", then {made.fallback}" if made.fallback else ""
    return members + fallback + (", default" if made.is_default else "")


def _is_visible(pool: PoolRecord, scope: Scope) -> bool:
    return scope.is_system or pool.tenant_id in (BOX, scope.tenant_id)


def _only_system(scope: Scope) -> None:
    if not scope.is_system:
        raise UsageError("only the box's admin may change pools")
