"""Tenants: who they are, what they may use, and whether they may send. They are suspended, never deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import Count, Name, Short, Words, cut, in_field
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind, Rooms
from appliance.core.scope import Scope
from appliance.rights import Right
from appliance.tenancy import TenantRecord

_TENANT: Final = {
    "id": 3,
    "name": "shop",
    "state": "active",
    "suspended_at": None,
    "suspended_reason": "",
    "weight": 1,
    "recipients_per_day": 0,
    "sandboxed": False,
    "pool": "",
    "bulk_pool": "",
    "transactional_pool": "",
    "created_at": "2026-11-20T10:00:00Z",
}
_Weight = Annotated[int, Meta(ge=1, le=1000, description="Share of the egress when others wait.")]


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A customer or team."""

    id: int
    name: str
    state: Literal["active", "suspended"]
    suspended_at: datetime | None
    suspended_reason: str
    weight: int
    recipients_per_day: Annotated[int, Meta(description="0: no limit.")]
    sandboxed: Annotated[bool, Meta(description="What it sends is delivered to nobody.")]
    pool: Annotated[str, Meta(description="Egress pool of its mail; empty: the default.")]
    bulk_pool: str
    transactional_pool: str
    created_at: datetime | None


class TenantPage(msgspec.Struct, frozen=True, kw_only=True):
    """Tenants, oldest first; `cursor` leads on, "" at the end."""

    items: list[Tenant]
    cursor: str


class NewTenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tenant that is wanted."""

    name: Annotated[
        str, Meta(min_length=1, max_length=63, description="Letters, digits and inner hyphens.")
    ]
    weight: _Weight = 1
    recipients_per_day: Count = 0


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out or null stays."""

    weight: _Weight | None = None
    recipients_per_day: Count | None = None
    sandboxed: bool | None = None


class TenantPools(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pools to choose; "" takes a choice back, what is left out or null stays."""

    pool: Short | None = None
    bulk_pool: Short | None = None
    transactional_pool: Short | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; whoever finds it later will ask."""

    reason: Words


@get(
    "/tenants",
    opt={RIGHT: Right.TENANTS_READ, EXAMPLE: Example({"items": [_TENANT], "cursor": ""})},
    tags=["tenants"],
    summary="List the tenants",
)
async def list_tenants(
    rooms: Behind, asker: WhoAsks, cursor: Cursor = "", limit: Limit = 50
) -> TenantPage:
    """All of them for the box's keys; a tenant's key sees its own."""
    scope = asker.actor.scope
    found = await rooms.tenants.page(scope, after=place_of(cursor), limit=limit + 1)
    items, last = cut(found, limit, lambda one: one.id)
    return TenantPage(items=[_shown(one) for one in items], cursor=last)


@post(
    "/tenants",
    opt={RIGHT: Right.TENANTS_MANAGE, EXAMPLE: Example(_TENANT, {"name": "shop"})},
    tags=["tenants"],
    summary="Add a tenant",
)
async def create_tenant(data: JSONBody[NewTenant], rooms: Behind, asker: WhoAsks) -> Tenant:
    """It may send as soon as it has a verified domain and a credential or key."""
    with in_field("name"):
        made = await rooms.tenants.create(
            asker.actor.scope,
            name=data.name,
            weight=data.weight,
            recipients_per_day=data.recipients_per_day,
        )
    return _shown(made)


@get(
    "/tenants/{name:str}",
    opt={RIGHT: Right.TENANTS_READ, EXAMPLE: Example(_TENANT)},
    tags=["tenants"],
    summary="Show a tenant",
)
async def show_tenant(name: Name, rooms: Behind, asker: WhoAsks) -> Tenant:
    """By its name."""
    return _shown(await rooms.tenants.get(asker.actor.scope, name))


@patch(
    "/tenants/{name:str}/limits",
    opt={
        RIGHT: Right.TENANTS_MANAGE,
        EXAMPLE: Example(_TENANT | {"recipients_per_day": 50000}, {"recipients_per_day": 50000}),
    },
    tags=["tenants"],
    summary="Change a tenant's limits",
)
async def limit_tenant(
    name: Name, data: JSONBody[TenantLimits], rooms: Behind, asker: WhoAsks
) -> Tenant:
    """Its share, its recipients a day, and whether what it sends is delivered at all."""
    given = msgspec.structs.asdict(data)
    return _shown(await rooms.tenants.set_limits(asker.actor.scope, name, **given))


@patch(
    "/tenants/{name:str}/pools",
    opt={
        RIGHT: Right.TENANTS_MANAGE,
        EXAMPLE: Example(_TENANT | {"pool": "main"}, {"pool": "main"}),
    },
    tags=["tenants"],
    summary="Choose a tenant's pools",
)
async def choose_pools(
    name: Name, data: JSONBody[TenantPools], rooms: Behind, asker: WhoAsks
) -> Tenant:
    """From which addresses its mail leaves; of all mail, and of a class."""
    scope, given = asker.actor.scope, msgspec.structs.asdict(data)
    found = await rooms.tenants.get(scope, name)
    await _check_pools(rooms, scope, found, given)
    return _shown(await rooms.tenants.set_pools(scope, found.name, **given))


async def _check_pools(
    rooms: Rooms, scope: Scope, tenant: TenantRecord, given: dict[str, str | None]
) -> None:
    """A pool that is misspelt would be passed over in silence when mail is sent."""
    for field, pool in given.items():
        if pool:
            with in_field(field):
                await rooms.pools.usable(scope, pool, tenant.id)


@post(
    "/tenants/{name:str}/suspend",
    status_code=200,
    opt={
        RIGHT: Right.TENANTS_MANAGE,
        EXAMPLE: Example(
            _TENANT
            | {
                "state": "suspended",
                "suspended_at": "2026-11-21T10:00:00Z",
                "suspended_reason": "unpaid",
            },
            {"reason": "unpaid"},
        ),
    },
    tags=["tenants"],
    summary="Suspend a tenant",
)
async def suspend_tenant(name: Name, data: JSONBody[Why], rooms: Behind, asker: WhoAsks) -> Tenant:
    """Its mail is refused within a second, with the reason; what is queued stays."""
    return _shown(await rooms.tenants.suspend(asker.actor.scope, name, reason=data.reason))


@post(
    "/tenants/{name:str}/resume",
    status_code=200,
    opt={RIGHT: Right.TENANTS_MANAGE, EXAMPLE: Example(_TENANT)},
    tags=["tenants"],
    summary="Let a suspended tenant send again",
)
async def resume_tenant(name: Name, rooms: Behind, asker: WhoAsks) -> Tenant:
    """Resuming one that is active changes nothing."""
    return _shown(await rooms.tenants.resume(asker.actor.scope, name))


def _shown(one: TenantRecord) -> Tenant:
    return Tenant(
        id=one.id,
        name=one.name,
        state="suspended" if one.suspended else "active",
        suspended_at=moment(one.suspended_at),
        suspended_reason=one.suspended_reason,
        weight=one.weight,
        recipients_per_day=one.recipients_per_day,
        sandboxed=one.sandboxed,
        pool=one.pool,
        bulk_pool=one.bulk_pool,
        transactional_pool=one.transactional_pool,
        created_at=moment(one.created_at),
    )


HANDLERS: Final[list[Any]] = [
    list_tenants,
    create_tenant,
    show_tenant,
    limit_tenant,
    choose_pools,
    suspend_tenant,
    resume_tenant,
]
