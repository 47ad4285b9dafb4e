"""Egress addresses: where mail leaves from, their HELO names, and what DNS says of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.nouns import Name, Short, page
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, moment
from admin_ui.api.tenants import Why
from admin_ui.rooms import Behind, Rooms
from appliance.core.scope import Scope
from appliance.egress import AddressCheck, CheckState, EgressRecord, EgressRequest
from appliance.rights import Right
from mta.egress import EgressState

_CHECKS: Final = Rate(0.5, 20)
_EGRESS: Final = {
    "name": "out-1",
    "address": "203.0.113.5",
    "address6": "",
    "uses_ipv6": False,
    "ipv6_forced": False,
    "helo": "out-1.example.org",
    "state": "enabled",
    "why": "",
    "pools": ["main"],
    "checks": [
        {
            "address": "203.0.113.5",
            "at": "2026-11-20T10:00:00Z",
            "state": "ok",
            "forward": ["203.0.113.5"],
            "reverse": ["out-1.example.org"],
            "problems": [],
            "warnings": [],
        }
    ],
    "checked_at": "2026-11-20T10:00:00Z",
    "created_at": "2026-11-20T09:00:00Z",
}


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """An address with its HELO name, as DNS had them."""

    address: str
    at: datetime | None
    state: CheckState
    forward: list[str]
    reverse: list[str]
    problems: Annotated[list[str], Meta(description="In words, each with the record to publish.")]
    warnings: list[str]


class EgressShape(msgspec.Struct, frozen=True, kw_only=True):
    """An address that mail leaves from."""

    name: str
    address: str
    address6: str
    uses_ipv6: Annotated[bool, Meta(description="Once its reverse DNS was seen to be right.")]
    ipv6_forced: bool
    helo: str
    state: EgressState
    why: Annotated[str, Meta(description="Why it is not enabled.")]
    pools: list[str]
    checks: list[Looked]
    checked_at: datetime | None
    created_at: datetime | None


class EgressPage(msgspec.Struct, frozen=True, kw_only=True):
    """Egresses by name; `cursor` leads on, "" at the end."""

    items: list[EgressShape]
    cursor: str


class NewEgress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The egress that is wanted; it has an IPv4 address, an IPv6 address or both."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    address: Short = ""
    address6: Short = ""
    helo: Annotated[Short, Meta(description="Empty: the name of the box.")] = ""
    ipv6_forced: bool = False
    disabled: Annotated[
        bool, Meta(description="Not to be used yet: to check or warm it up first.")
    ] = False


class EgressChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; "" takes an address away, what is left out or null stays."""

    address: Short | None = None
    address6: Short | None = None
    helo: Short | None = None
    ipv6_forced: bool | None = None


@get(
    "/egress",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_EGRESS], "cursor": ""})},
    tags=["egress"],
    summary="List the egress addresses",
)
async def list_egress(
    rooms: Behind, asker: WhoAsks, cursor: Cursor = "", limit: Limit = 50
) -> EgressPage:
    """None: mail leaves from delivery.source_address, or as the machine chooses."""
    scope = asker.actor.scope
    every = await rooms.egresses.list(scope)
    items, last = page(every, lambda one: one.name, cursor, limit)
    pools = await _pools(rooms, scope)
    return EgressPage(items=[_shown(one, pools) for one in items], cursor=last)


@post(
    "/egress",
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(_EGRESS, {"name": "out-1", "address": "203.0.113.5"}),
    },
    tags=["egress"],
    summary="Add an egress address",
)
async def create_egress(data: JSONBody[NewEgress], rooms: Behind, asker: WhoAsks) -> EgressShape:
    """Used within a second, unless it is disabled; have its DNS checked next."""
    wanted = EgressRequest(
        name=data.name,
        address=data.address,
        address6=data.address6,
        helo=data.helo,
        ipv6_forced=data.ipv6_forced,
        state=EgressState.DISABLED if data.disabled else EgressState.ENABLED,
    )
    return _shown(await rooms.egress_life.create(asker.actor.scope, wanted), {})


@get(
    "/egress/{name:str}",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example(_EGRESS)},
    tags=["egress"],
    summary="Show an egress address",
)
async def show_egress(name: Name, rooms: Behind, asker: WhoAsks) -> EgressShape:
    """With what DNS last said of it."""
    scope = asker.actor.scope
    return _shown(await rooms.egresses.get(scope, name), await _pools(rooms, scope))


@patch(
    "/egress/{name:str}",
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(_EGRESS, {"helo": "out-1.example.org"}),
    },
    tags=["egress"],
    summary="Change an egress address",
)
async def update_egress(
    name: Name, data: JSONBody[EgressChange], rooms: Behind, asker: WhoAsks
) -> EgressShape:
    """With another address its warmup begins anew and its throttles end; have its DNS checked next."""
    scope = asker.actor.scope
    given = msgspec.structs.asdict(data)
    made = await rooms.egress_life.update(scope, name, **given)
    return _shown(made, await _pools(rooms, scope))


@post(
    "/egress/{name:str}/enable",
    status_code=200,
    opt={RIGHT: Right.EGRESS_MANAGE, EXAMPLE: Example(_EGRESS)},
    tags=["egress"],
    summary="Let mail leave from an address",
)
async def enable_egress(name: Name, rooms: Behind, asker: WhoAsks) -> EgressShape:
    """Enabling one that is enabled changes nothing."""
    scope = asker.actor.scope
    return _shown(await rooms.egresses.enable(scope, name), await _pools(rooms, scope))


@post(
    "/egress/{name:str}/drain",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(_EGRESS | {"state": "draining", "why": "moves"}, {"reason": "moves"}),
    },
    tags=["egress"],
    summary="Give an address nothing new",
)
async def drain_egress(
    name: Name, data: JSONBody[Why], rooms: Behind, asker: WhoAsks
) -> EgressShape:
    """What is on its way still leaves from it."""
    scope = asker.actor.scope
    done = await rooms.egresses.drain(scope, name, why=data.reason)
    return _shown(done, await _pools(rooms, scope))


@post(
    "/egress/{name:str}/disable",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(_EGRESS | {"state": "disabled", "why": "moves"}, {"reason": "moves"}),
    },
    tags=["egress"],
    summary="Begin no transaction on an address",
)
async def disable_egress(
    name: Name, data: JSONBody[Why], rooms: Behind, asker: WhoAsks
) -> EgressShape:
    """What waited for it goes from others."""
    scope = asker.actor.scope
    done = await rooms.egresses.disable(scope, name, why=data.reason)
    return _shown(done, await _pools(rooms, scope))


@post(
    "/egress/{name:str}/check",
    status_code=200,
    opt={RIGHT: Right.EGRESS_MANAGE, RATE: _CHECKS, EXAMPLE: Example(_EGRESS)},
    tags=["egress"],
    summary="Check an address's DNS now",
)
async def check_egress(name: Name, rooms: Behind, asker: WhoAsks) -> EgressShape:
    """Forward and reverse names; `checks` is what was seen just now."""
    scope = asker.actor.scope
    found, fresh = await rooms.dns.check_egress(scope, name)
    shown = _shown(found, await _pools(rooms, scope))
    return msgspec.structs.replace(shown, checks=[_looked(one) for one in fresh])


@delete(
    "/egress/{name:str}",
    status_code=200,
    opt={RIGHT: Right.EGRESS_MANAGE, EXAMPLE: Example(_EGRESS | {"state": "disabled"})},
    tags=["egress"],
    summary="Forget an egress address",
)
async def delete_egress(
    *,
    name: Name,
    rooms: Behind,
    asker: WhoAsks,
    force: Annotated[
        bool, QueryParameter(description="Even if it is enabled, or a pool has no other.")
    ] = False,
) -> EgressShape:
    """What waited for it goes from others; 409 while it is enabled or a pool's last."""
    return _shown(await rooms.egress_life.delete(asker.actor.scope, name, force=force), {})


async def _pools(rooms: Rooms, scope: Scope) -> dict[str, list[str]]:
    """The names of an egress's pools, by its own."""
    found: dict[str, list[str]] = {}
    for pool in await rooms.pools.list(scope):
        for member in pool.members:
            found.setdefault(member.egress, []).append(pool.name)
    return found


def _shown(one: EgressRecord, pools: dict[str, list[str]]) -> EgressShape:
    return EgressShape(
        name=one.name,
        address=one.address,
        address6=one.address6,
        uses_ipv6=one.uses_ipv6,
        ipv6_forced=one.ipv6_forced,
        helo=one.helo,
        state=one.state,
        why=one.why,
        pools=pools.get(one.name, []),
        checks=[_looked(check) for check in one.checks],
        checked_at=moment(one.checked_at),
        created_at=moment(one.created_at),
    )


def _looked(one: AddressCheck) -> Looked:
    return Looked(
        address=one.address,
        at=moment(one.at),
        state=one.state,
        forward=list(one.forward),
        reverse=list(one.reverse),
        problems=list(one.problems),
        warnings=list(one.warnings),
    )


HANDLERS: Final[list[Any]] = [
    list_egress,
    create_egress,
    show_egress,
    update_egress,
    enable_egress,
    drain_egress,
    disable_egress,
    check_egress,
    delete_egress,
]
