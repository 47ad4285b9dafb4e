"""Use cases of tenancy: create, list, limit, choose pools, suspend, resume.

A suspended tenant's mail is refused from the next poll of the directory on; what is queued stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import BOX, scoped
from appliance.tenancy.audit import record
from appliance.tenancy.model import Act, TenantCounts, TenantRecord
from appliance.tenancy.rules import (
    checked_country,
    checked_link,
    checked_name,
    checked_organisation,
    checked_postal_address,
    checked_quota,
    checked_reason,
    checked_weight,
)
from appliance.tenancy.tables import tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope


class Tenants:
    """The tenants of the box."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def create(
        self, scope: Scope, *, name: str, weight: int = 1, recipients_per_day: int = 0
    ) -> TenantRecord:
        """Add a tenant. Raises ConflictError when the name is taken."""
        _only_system(scope)
        values: dict[str, Any] = {
            "name": checked_name(name),
            "weight": checked_weight(weight),
            "recipients_per_day": checked_quota(recipients_per_day),
            "suspended_at": 0,
            "suspended_reason": "",
            "created_at": self._now(),
        }
        try:
            async with change(self._engine, Part.TENANTS) as changed:
                row = await changed.connection.execute(
                    insert(tenant).values(values).returning(tenant)
                )
                made = TenantRecord(**row.mappings().one())
                await self._audit(changed.connection, scope, made, "tenant.create")
        except IntegrityError as error:
            raise ConflictError(f"a tenant named {values['name']!r} exists already") from error
        return made

    async def list(self, scope: Scope) -> tuple[TenantRecord, ...]:
        """The tenants the scope sees, by name."""
        statement = select(tenant).where(tenant.c.id != BOX).order_by(tenant.c.name)
        async with reading(self._engine) as connection:
            rows = await connection.execute(scoped(statement, tenant, scope, column="id"))
            return tuple(TenantRecord(**row) for row in rows.mappings())

    async def page(
        self, scope: Scope, *, after: int = 0, limit: int = 100, prefix: str = ""
    ) -> tuple[TenantRecord, ...]:
        """Tenants that the scope sees with ids above `after`, in their order; `prefix`: of a name."""
        statement = select(tenant).where(tenant.c.id > max(after, BOX)).order_by(tenant.c.id)
        begins = prefix.strip().lower()
        if begins:
            statement = statement.where(tenant.c.name.startswith(begins, autoescape=True))
        wanted = scoped(statement, tenant, scope, column="id").limit(limit)
        async with reading(self._engine) as connection:
            return tuple(
                TenantRecord(**row) for row in (await connection.execute(wanted)).mappings()
            )

    async def counts(self, scope: Scope) -> TenantCounts:
        """How many tenants the scope sees, and how many of them do not send."""
        every, c = func.count(), tenant.c
        columns = every, every.filter(c.suspended_at > 0), every.filter(c.sandboxed.is_(True))
        wanted = cast("Select[Any]", select(*columns).where(c.id != BOX))
        async with reading(self._engine) as connection:
            rows = await connection.execute(scoped(wanted, tenant, scope, column="id"))
            whole, suspended, sandboxed = rows.one()
        return TenantCounts(whole=whole, suspended=suspended, sandboxed=sandboxed)

    async def by_id(self, scope: Scope, tenant_id: int) -> TenantRecord:
        """The tenant of that id. Raises NotFoundError."""
        found = await self.page(scope, after=tenant_id - 1, limit=1)
        if not found or found[0].id != tenant_id:
            raise NotFoundError(f"no tenant has the id {tenant_id}")
        return found[0]

    async def get(self, scope: Scope, name: str) -> TenantRecord:
        """The tenant of that name. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await self._get(connection, scope, name)

    async def names(self, scope: Scope, tenant_ids: Collection[int]) -> dict[int, str]:
        """The names of these tenants, of those that the scope sees."""
        c = tenant.c
        wanted = select(c.id, c.name).where(c.id.in_(sorted(set(tenant_ids))))
        async with reading(self._engine) as connection:
            rows = await connection.execute(scoped(wanted, tenant, scope, column="id"))
            return {row.id: row.name for row in rows}

    async def set_profile(
        self, scope: Scope, tenant_id: int, *, organisation: str, country: str, postal_address: str
    ) -> TenantRecord:
        """Who it is by post: the tenant's own people say so, or the box's."""
        values = {
            "organisation": checked_organisation(organisation),
            "country": checked_country(country),
            "postal_address": checked_postal_address(postal_address),
        }
        return await self._say(scope, tenant_id, values, "tenant.profile", values["organisation"])

    async def set_links(
        self, scope: Scope, tenant_id: int, *, privacy_url: str, terms_url: str
    ) -> TenantRecord:
        """Where its public pages link to; "": nowhere."""
        values = {
            "privacy_url": checked_link(privacy_url, "privacy_url"),
            "terms_url": checked_link(terms_url, "terms_url"),
        }
        detail = " ".join(filter(None, values.values())) or "none"
        return await self._say(scope, tenant_id, values, "tenant.links", detail)

    async def _say(
        self, scope: Scope, tenant_id: int, values: dict[str, str], action: str, detail: str
    ) -> TenantRecord:
        """What its own people say of it."""
        mine = tenant.c.id == scope.owner(tenant_id)
        async with change(self._engine, Part.TENANTS) as changed:
            statement = update(tenant).where(mine, tenant.c.id != BOX).values(values)
            row = (await changed.connection.execute(statement.returning(tenant))).mappings()
            found = row.one_or_none()
            if found is None:
                raise NotFoundError(f"no tenant has the id {tenant_id}")
            made = TenantRecord(**found)
            await self._audit(changed.connection, scope, made, action, detail)
        return made

    async def suspend(self, scope: Scope, name: str, *, reason: str) -> TenantRecord:
        """Refuse its mail from now on; the reason is told to its clients."""
        words = checked_reason(reason)
        values = {"suspended_at": self._now(), "suspended_reason": words}
        return await self._update(scope, name, values, action="tenant.suspend", detail=words)

    async def resume(self, scope: Scope, name: str) -> TenantRecord:
        """Let it send again."""
        values = {"suspended_at": 0, "suspended_reason": ""}
        return await self._update(scope, name, values, action="tenant.resume")

    async def set_limits(
        self,
        scope: Scope,
        name: str,
        *,
        weight: int | None = None,
        recipients_per_day: int | None = None,
        sandboxed: bool | None = None,
    ) -> TenantRecord:
        """Change its share, its daily quota, or whether what it sends is delivered at all."""
        values: dict[str, Any] = {}
        if weight is not None:
            values["weight"] = checked_weight(weight)
        if recipients_per_day is not None:
            values["recipients_per_day"] = checked_quota(recipients_per_day)
        if sandboxed is not None:
            values["sandboxed"] = sandboxed
        if not values:
            raise UsageError("nothing to change: give a weight, recipients a day or sandboxed")
        detail = ", ".join(f"{key}={value}" for key, value in values.items())
        return await self._update(scope, name, values, action="tenant.limits", detail=detail)

    async def set_pools(
        self,
        scope: Scope,
        name: str,
        *,
        pool: str | None = None,
        bulk_pool: str | None = None,
        transactional_pool: str | None = None,
    ) -> TenantRecord:
        """Choose the egress pools of its mail; "" takes a choice back.

        Whether a pool exists is not asked here (the rooms above know): one that does not is passed over.
        """
        given = {
            "pool": pool,
            "bulk_pool": bulk_pool,
            "transactional_pool": transactional_pool,
        }
        values = {key: value.strip().lower() for key, value in given.items() if value is not None}
        if not values:
            raise UsageError("nothing to change: name a pool")
        detail = ", ".join(f"{key}={value or 'none'}" for key, value in values.items())
        # The directory keeps these choices with the pools, so theirs is the part that changes.
        return await self._update(
            scope, name, values, action="tenant.pools", detail=detail, part=Part.EGRESS
        )

    async def _update(
        self,
        scope: Scope,
        name: str,
        values: dict[str, Any],
        *,
        action: str,
        detail: str = "",
        part: Part = Part.TENANTS,
    ) -> TenantRecord:
        _only_system(scope)
        async with change(self._engine, part) as changed:
            found = await self._get(changed.connection, scope, name)
            statement = (
                update(tenant).where(tenant.c.id == found.id).values(values).returning(tenant)
            )
            made = TenantRecord(**(await changed.connection.execute(statement)).mappings().one())
            await self._audit(changed.connection, scope, made, action, detail)
        return made

    async def _get(self, connection: AsyncConnection, scope: Scope, name: str) -> TenantRecord:
        wanted = name.strip().lower()
        statement = select(tenant).where(tenant.c.name == wanted, tenant.c.id != BOX)
        rows = await connection.execute(scoped(statement, tenant, scope, column="id"))
        row = rows.mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"no tenant is named {name!r}: `pillarbox tenant list` shows them")
        return TenantRecord(**row)

    async def _audit(
        self,
        connection: AsyncConnection,
        scope: Scope,
        made: TenantRecord,
        action: str,
        detail: str = "",
    ) -> None:
        await record(
            connection,
            scope,
            Act(
                tenant_id=made.id,
                at=self._now(),
                action=action,
                subject=f"tenant {made.name}",
                detail=detail,
            ),
        )


def _only_system(scope: Scope) -> None:
    if not scope.is_system:
        raise UsageError("only the box's admin may change tenants")
