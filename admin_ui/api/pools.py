"""Pools: groups of egress addresses, with weights and a fallback; shared, or one tenant's own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import Name, Short, in_field, page
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import NotFoundError
from appliance.core.scope import BOX, Scope
from appliance.egress import PoolChange, PoolRecord
from appliance.rights import Right
from mta.egress import Member

_POOL: Final = {
    "name": "main",
    "tenant_id": 0,
    "members": [{"egress": "out-1", "weight": 1}],
    "fallback": "",
    "default": True,
    "created_at": "2026-11-20T10:00:00Z",
}


class MemberShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address of a pool, with its share."""

    egress: Annotated[str, Meta(min_length=1, max_length=63)]
    weight: Annotated[int, Meta(ge=1, le=1000)] = 1


class PoolShape(msgspec.Struct, frozen=True, kw_only=True):
    """A group of addresses."""

    name: str
    tenant_id: Annotated[int, Meta(description="Whose alone; 0: everybody's.")]
    members: list[MemberShape]
    fallback: Annotated[str, Meta(description="The pool that takes what this one cannot send.")]
    default: Annotated[bool, Meta(description="For all who choose no pool.")]
    created_at: datetime | None


class PoolPage(msgspec.Struct, frozen=True, kw_only=True):
    """Pools by name; `cursor` leads on, "" at the end."""

    items: list[PoolShape]
    cursor: str


class PoolWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the pool is to be; what is left out or null stays as it is."""

    members: Annotated[list[MemberShape], Meta(min_length=1, max_length=1000)] | None = None
    fallback: Short | None = None
    tenant: (
        Annotated[
            str, Meta(max_length=63, description="Only this tenant's mail; empty: everybody's.")
        ]
        | None
    ) = None
    default: bool | None = None


@get(
    "/pools",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_POOL], "cursor": ""})},
    tags=["pools"],
    summary="List the pools",
)
async def list_pools(
    rooms: Behind, asker: WhoAsks, cursor: Cursor = "", limit: Limit = 50
) -> PoolPage:
    """None: mail leaves from every enabled egress in equal shares."""
    every = await rooms.pools.list(asker.actor.scope)
    items, last = page(every, lambda one: one.name, cursor, limit)
    return PoolPage(items=[_shown(one) for one in items], cursor=last)


@get(
    "/pools/{name:str}",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example(_POOL)},
    tags=["pools"],
    summary="Show a pool",
)
async def show_pool(name: Name, rooms: Behind, asker: WhoAsks) -> PoolShape:
    """By its name."""
    wanted = name.strip().lower()
    for one in await rooms.pools.list(asker.actor.scope):
        if one.name == wanted:
            return _shown(one)
    raise NotFoundError(f"no pool is named {name!r}")


@put(
    "/pools/{name:str}",
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(_POOL, {"members": [{"egress": "out-1"}], "default": True}),
    },
    tags=["pools"],
    summary="Make a pool, or change one",
)
async def set_pool(
    name: Name, data: JSONBody[PoolWish], rooms: Behind, asker: WhoAsks
) -> PoolShape:
    """Members, if given, are all of them."""
    scope, members = asker.actor.scope, None
    if data.members is not None:
        members = tuple(Member(egress=one.egress, weight=one.weight) for one in data.members)
    wanted = PoolChange(
        members=members,
        fallback=data.fallback,
        tenant_id=await _tenant(rooms, scope, data.tenant),
        is_default=data.default,
    )
    with in_field(""):  # a member or fallback that is not there is no missing page
        return _shown(await rooms.pools.set(scope, name, wanted))


@delete(
    "/pools/{name:str}",
    status_code=200,
    opt={RIGHT: Right.EGRESS_MANAGE, EXAMPLE: Example(_POOL)},
    tags=["pools"],
    summary="Forget a pool",
)
async def delete_pool(
    *,
    name: Name,
    rooms: Behind,
    asker: WhoAsks,
    force: Annotated[
        bool, QueryParameter(description="Even if a tenant, a credential or a pool refers to it.")
    ] = False,
) -> PoolShape:
    """Its addresses stay; 409 while something refers to it."""
    return _shown(await rooms.pools.delete(asker.actor.scope, name, force=force))


async def _tenant(rooms: Rooms, scope: Scope, name: str | None) -> int | None:
    if not name:
        return None if name is None else BOX
    with in_field("tenant"):
        return (await rooms.tenants.get(scope, name)).id


def _shown(one: PoolRecord) -> PoolShape:
    return PoolShape(
        name=one.name,
        tenant_id=one.tenant_id,
        members=[MemberShape(egress=each.egress, weight=each.weight) for each in one.members],
        fallback=one.fallback,
        default=one.is_default,
        created_at=moment(one.created_at),
    )


HANDLERS: Final[list[Any]] = [list_pools, show_pool, set_pool, delete_pool]
