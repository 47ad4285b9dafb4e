"""Egress: the addresses that mail leaves from, how receivers and DNS see them, and the pools that group them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import Name
from admin_ui.api.rates import Rate
from admin_ui.console.egress_health import (
    egress_rows,
    is_held,
    last_hours,
    receiver,
    state_of,
    warmups_of,
)
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.egress import EgressRequest, PoolChange
from appliance.rights import Right
from mta.egress import EgressState, Member

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.egress import EgressRecord
    from appliance.tenancy import TenantRecord

MAX_WEIGHT: Final = 1000
_LISTINGS: Final = 500
_THROTTLES: Final = 50
_CHECKS: Final = Rate(0.5, 20)
_READS: Final = {RIGHT: Right.EGRESS_READ}
_MANAGES: Final = {RIGHT: Right.EGRESS_MANAGE}


@get("/egress", opt=_READS)
async def egresses(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Addresses and pools."""
    return await _list(rooms, visit)


async def _list(rooms: Rooms, visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    scope = visit.scope
    rows, found, pools, tenants, throttles = await asyncio.gather(
        egress_rows(rooms, visit),
        rooms.egresses.list(scope),
        rooms.pools.list(scope),
        rooms.tenants.list(scope),
        rooms.throttles.all(scope),
    )
    slowed: dict[str, int] = defaultdict(int)
    for one in throttles:
        slowed[one.subject.egress] += one.in_force
    return await visit.page(
        "egresses.html",
        problem=problem,
        rows=rows,
        by_name={one.name: one for one in found},
        slowed=slowed,
        pools=pools,
        users=_users(tenants),
        whose={one.id: one.name for one in tenants},
        since=last_hours(visit.stage.now()).start,
        most=MAX_WEIGHT,
    )


def _users(tenants: Iterable[TenantRecord]) -> dict[str, list[TenantRecord]]:
    """The tenants that chose a pool, by its name."""
    found: dict[str, list[TenantRecord]] = defaultdict(list)
    for one in tenants:
        for pool in {one.pool, one.bulk_pool, one.transactional_pool} - {""}:
            found[pool].append(one)
    return found


@post("/egress", opt=_MANAGES)
async def add_egress(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new address; its DNS is looked at at once."""
    form = visit.form
    try:
        wanted = EgressRequest(
            name=form.needed("name", most=63),
            address=form.text("address", most=100),
            address6=form.text("address6", most=100),
            helo=form.text("helo", most=253),
            state=EgressState.DISABLED if form.ticked("disabled") else EgressState.ENABLED,
        )
        made = await rooms.egress_life.create(visit.scope, wanted)
    except (UsageError, ConflictError) as error:
        return await _list(rooms, visit, Problem.of(error, "add"))
    await rooms.dns.check_egress(visit.scope, made.name)
    return visit.to(f"/egress/{made.name}", "Added", "What DNS says of it stands below.")


@get("/egress/{name:str}", opt=_READS)
async def egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One address."""
    return await _record(rooms, visit, name)


async def _record(
    rooms: Rooms, visit: Visit, name: str, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    scope = visit.scope
    found = await rooms.egresses.get(scope, name)
    every, pools, (warmups, kept), throttles, listings, (lists, shaping) = await asyncio.gather(
        rooms.egresses.list(scope),
        rooms.pools.list(scope),
        warmups_of(rooms, scope, found.name),
        rooms.throttles.all(scope),
        rooms.blocklists.listings(scope, open_only=False, limit=_LISTINGS),
        asyncio.gather(rooms.files.blocklists(), rooms.files.shaping()),
    )
    mine = [one for one in throttles if one.subject.egress == found.name]
    now = visit.stage.now()
    suspended = next(
        (
            receiver(shaping, one.subject.zone)
            for one in mine
            if one.suspended_until > now and not one.subject.tenant_id
        ),
        "",
    )
    return await visit.page(
        "egress.html",
        problem=problem,
        one=found,
        state=state_of(found, warmups, suspended, kept),
        pools=[one for one in pools if found.name in {each.egress for each in one.members}],
        alone=_alone(found, every),
        warmups=warmups,
        held=[one.provider for one in warmups if is_held(one, kept)],
        throttles=mine[:_THROTTLES],
        listings=[one for one in listings if one.egress == found.name],
        titles={one.name: one.title for one in shaping.providers.values()},
        list_names={one.zone: one.name for one in lists},
        at=now,
    )


def _alone(found: EgressRecord, every: Iterable[EgressRecord]) -> bool:
    """Whether nothing else takes what waits for it."""
    return not any(one.state is EgressState.ENABLED and one.name != found.name for one in every)


@post("/egress/{name:str}/change", opt=_MANAGES)
async def change_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Other addresses, another HELO name."""
    form = visit.form
    try:
        await rooms.egress_life.update(
            visit.scope,
            name,
            address=form.text("address", most=100),
            address6=form.text("address6", most=100),
            helo=form.text("helo", most=253),
            ipv6_forced=form.ticked("ipv6_forced"),
        )
    except (UsageError, ConflictError) as error:
        return await _record(rooms, visit, name, Problem.of(error, "change"))
    await rooms.dns.check_egress(visit.scope, name)
    return visit.to(f"/egress/{name}", "Changed", "What DNS says of it stands below.")


@post("/egress/{name:str}/check", opt=_MANAGES | {RATE: _CHECKS})
async def check_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Ask DNS now."""
    _, fresh = await rooms.dns.check_egress(visit.scope, name)
    wrong = sum(bool(one.problems) for one in fresh)
    words = f"{wrong} of {len(fresh)} addresses need mending." if wrong else "Nothing is wrong."
    return visit.to(f"/egress/{name}", "Checked just now", words)


@post("/egress/{name:str}/enable", opt=_MANAGES)
async def enable_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Let mail leave from it."""
    await rooms.egresses.enable(visit.scope, name)
    return visit.to(f"/egress/{name}", "Enabled", "Mail leaves from it within a second.")


@post("/egress/{name:str}/drain", opt=_MANAGES)
async def drain_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Give it nothing new."""
    try:
        why = visit.form.needed("reason", most=500)
        await rooms.egresses.drain(visit.scope, name, why=why)
    except UsageError as error:
        return await _record(rooms, visit, name, Problem.of(error, "drain"))
    return visit.to(f"/egress/{name}", "Draining", "It gets nothing new.")


@post("/egress/{name:str}/disable", opt=_MANAGES)
async def disable_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Begin nothing on it."""
    try:
        why = visit.form.needed("reason", most=500)
        await rooms.egresses.disable(visit.scope, name, why=why)
    except UsageError as error:
        return await _record(rooms, visit, name, Problem.of(error, "disable"))
    return visit.to(f"/egress/{name}", "Disabled", "What waited for it leaves from others.")


@post("/egress/{name:str}/delete", opt=_MANAGES)
async def delete_egress(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Forget it; refused while it is enabled, or a pool has no other."""
    try:
        await rooms.egress_life.delete(visit.scope, name)
    except ConflictError as error:
        return visit.to(f"/egress/{name}", "Not deleted", str(error), kind="error")
    return visit.to("/egress", "Deleted", f"No mail leaves from {name} any more.")


@post("/pools", opt=_MANAGES)
async def add_pool(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new pool."""
    try:
        name = visit.form.needed("pool", most=63).lower()
        if name in {one.name for one in await rooms.pools.list(visit.scope)}:
            raise UsageError(f"a pool named {name} is there already", field="pool")
        wish = await _wish(rooms, visit)
        await rooms.pools.set(visit.scope, name, wish)
    except (UsageError, ConflictError, NotFoundError) as error:
        return await _list(rooms, visit, Problem.of(error, "pool"))
    return visit.to("/egress", "The pool is made", f"{name} may be chosen by tenants from now on.")


@post("/pools/{name:str}/change", opt=_MANAGES)
async def change_pool(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its members with their shares, and what takes what it cannot send."""
    if name not in {one.name for one in await rooms.pools.list(visit.scope)}:
        raise NotFoundError(f"no pool is named {name!r}")
    try:
        await rooms.pools.set(visit.scope, name, await _wish(rooms, visit))
    except (UsageError, ConflictError, NotFoundError) as error:
        return await _list(rooms, visit, Problem.of(error, f"change-{name}"))
    return visit.to("/egress", "Changed", f"{name} sends so within a second.")


async def _wish(rooms: Rooms, visit: Visit) -> PoolChange:
    """What the form wants of a pool: an address without a share is no member."""
    form, members = visit.form, []
    for one in await rooms.egresses.list(visit.scope):
        weight = form.whole(f"weight-{one.name}", most=MAX_WEIGHT)
        if weight:
            members.append(Member(egress=one.name, weight=weight))
    return PoolChange(members=tuple(members), fallback=form.text("fallback", most=63))


@post("/pools/{name:str}/default", opt=_MANAGES)
async def default_pool(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """For all who choose none."""
    if name not in {one.name for one in await rooms.pools.list(visit.scope)}:
        raise NotFoundError(f"no pool is named {name!r}")
    await rooms.pools.set(visit.scope, name, PoolChange(is_default=True))
    return visit.to("/egress", "Changed", f"Who chooses no pool sends from {name}.")


@post("/pools/{name:str}/delete", opt=_MANAGES)
async def delete_pool(name: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Forget it; refused while something refers to it."""
    try:
        await rooms.pools.delete(visit.scope, name)
    except ConflictError as error:
        return visit.to("/egress", "Not deleted", str(error), kind="error")
    return visit.to("/egress", "Deleted", f"The addresses of {name} stay.")


HANDLERS: Final[list[Any]] = [
    egresses,
    add_egress,
    egress,
    change_egress,
    check_egress,
    enable_egress,
    drain_egress,
    disable_egress,
    delete_egress,
    add_pool,
    change_pool,
    default_pool,
    delete_pool,
]
