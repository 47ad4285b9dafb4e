"""Tenants: who sends through the box, how much, and how well; limits, pools, and whether they may send.

Pages of the whole box: for somebody in a tenant's view there are none. Tenants are suspended, never deleted,
so that history keeps its owner.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import QueryParameter

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut, in_field
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.right_words import ROLES
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import BOX
from appliance.rights import Right
from appliance.statistics import Counts, Dimension, Of, Period
from appliance.tenancy.rules import MAX_WEIGHT

if TYPE_CHECKING:
    from appliance.tenancy import TenantRecord

PAGE: Final = 50
MOST_PEOPLE: Final = 10  # that the record names; the page of users has them all
POOLS: Final = {
    "pool": "All mail",
    "bulk_pool": "Bulk",
    "transactional_pool": "Transactional",
}
_WEEK: Final = 7 * clock.DAY
_NONE: Final = Counts()
_Prefix = Annotated[str, QueryParameter(max_length=63, pattern=PLAIN)]


@get("/tenants", opt={RIGHT: Right.TENANTS_READ})
async def tenants(
    rooms: Behind, visit: WhoVisits, q: _Prefix = "", cursor: Cursor = ""
) -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, q.strip(), cursor)


async def _list(
    rooms: Behind, visit: Visit, q: str = "", cursor: str = "", problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    _of_the_box(visit)
    scope, week = visit.scope, _week(visit)
    found, counts, whole = await asyncio.gather(
        rooms.tenants.page(scope, after=place_of(cursor), limit=PAGE + 1, prefix=q),
        rooms.tenants.counts(scope),
        rooms.statistics.totals(scope, week),
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    ids = [str(one.id) for one in rows]
    sums = await rooms.statistics.sums(scope, week, Dimension.TENANT, ids)
    return await visit.page(
        "tenants.html",
        problem=problem,
        rows=[(one, sums.get(str(one.id), _NONE)) for one in rows],
        counts=counts,
        whole=whole,
        bounced=_bounced,
        after=after,
        cursor=cursor,
        q=q,
        max_weight=MAX_WEIGHT,
    )


def _of_the_box(visit: Visit) -> None:
    """A tenant's own facts are on its page of settings."""
    if not visit.is_box:
        raise NotFoundError("the tenants are seen from the whole box")


def _week(visit: Visit) -> Period:
    now = visit.stage.now()
    return Period(since=now - _WEEK, until=now)


def _bounced(counts: Counts) -> int:
    return counts.bounced_hard + counts.bounced_soft


@post("/tenants", opt={RIGHT: Right.TENANTS_MANAGE})
async def add_tenant(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new one."""
    form = visit.form
    try:
        with in_field("name"):
            made = await rooms.tenants.create(
                visit.scope,
                name=form.needed("name", most=63),
                weight=form.whole("weight", least=1, most=MAX_WEIGHT),
                recipients_per_day=form.whole("recipients_per_day"),
            )
    except UsageError as error:
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return visit.to(_path(made), "Tenant added", "Invite its owner: they add a domain and send.")


@get("/tenants/{tenant_id:int}", opt={RIGHT: Right.TENANTS_READ})
async def tenant(tenant_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One."""
    return await _one(rooms, visit, tenant_id)


async def _one(
    rooms: Behind, visit: Visit, tenant_id: int, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    found = await _get(rooms, visit, tenant_id)
    scope, its = visit.scope, visit.scope.within(tenant_id)
    of = Of(tenant_id=tenant_id)
    sending, people, counted, domains = await asyncio.gather(
        rooms.statistics.totals(scope, _week(visit), of),
        rooms.people.users.list(its, limit=MOST_PEOPLE),
        rooms.people.users.counts(its),
        rooms.domains.counts(its),
    )
    keys, hooks, logins, pools = await asyncio.gather(
        rooms.keys.counts(its),
        rooms.webhooks.list(its),
        rooms.credentials.count(its),
        rooms.pools.list(scope),
    )
    return await visit.page(
        "tenant.html",
        problem=problem,
        one=found,
        sending=sending,
        bounced=_bounced(sending),
        people=[(user, ROLES[user.memberships[0].role][0]) for user in people if user.memberships],
        counted=counted,
        domains=domains,
        keys=keys,
        hooks=len(hooks),
        logins=logins,
        chosen=[(name, words, getattr(found, name)) for name, words in POOLS.items()],
        pools=[one.name for one in pools if one.tenant_id in (BOX, tenant_id)],
        max_weight=MAX_WEIGHT,
        can_enter=not visit.own.seen.is_visiting,
    )


async def _get(rooms: Behind, visit: Visit, tenant_id: int) -> TenantRecord:
    _of_the_box(visit)
    return await rooms.tenants.by_id(visit.scope, tenant_id)


@post("/tenants/{tenant_id:int}/limits", opt={RIGHT: Right.TENANTS_MANAGE})
async def limit_tenant(tenant_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its share, its recipients a day, the sandbox."""
    form, found = visit.form, await _get(rooms, visit, tenant_id)
    try:
        await rooms.tenants.set_limits(
            visit.scope,
            found.name,
            weight=form.whole("weight", least=1, most=MAX_WEIGHT),
            recipients_per_day=form.whole("recipients_per_day"),
            sandboxed=form.ticked("sandboxed"),
        )
    except UsageError as error:
        return await _one(rooms, visit, tenant_id, Problem.of(error, "limits"))
    return visit.to(_path(found), "Saved", "It holds within a second.")


@post("/tenants/{tenant_id:int}/pools", opt={RIGHT: Right.TENANTS_MANAGE})
async def choose_pools(tenant_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """From which addresses its mail leaves."""
    found = await _get(rooms, visit, tenant_id)
    try:
        given = {name: visit.form.text(name, most=255) for name in POOLS}
        for name, pool in given.items():
            if pool:
                with in_field(name):
                    await rooms.pools.usable(visit.scope, pool, tenant_id)
        await rooms.tenants.set_pools(
            visit.scope,
            found.name,
            pool=given["pool"],
            bulk_pool=given["bulk_pool"],
            transactional_pool=given["transactional_pool"],
        )
    except UsageError as error:
        return await _one(rooms, visit, tenant_id, Problem.of(error, "pools"))
    return visit.to(_path(found), "Saved", "What is sent from now on leaves from there.")


@post("/tenants/{tenant_id:int}/suspend", opt={RIGHT: Right.TENANTS_MANAGE})
async def suspend_tenant(tenant_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Refuse its mail, with the reason."""
    found = await _get(rooms, visit, tenant_id)
    try:
        with in_field("reason"):
            reason = visit.form.needed("reason", most=500)
            await rooms.tenants.suspend(visit.scope, found.name, reason=reason)
    except UsageError as error:
        return await _one(rooms, visit, tenant_id, Problem.of(error, "suspend"))
    return visit.to(_path(found), "Suspended", f"Mail of {found.name} is refused with the reason.")


@post("/tenants/{tenant_id:int}/resume", opt={RIGHT: Right.TENANTS_MANAGE})
async def resume_tenant(tenant_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Let it send again."""
    found = await _get(rooms, visit, tenant_id)
    await rooms.tenants.resume(visit.scope, found.name)
    return visit.to(_path(found), "Reactivated", f"{found.name} may send again.")


def _path(found: TenantRecord) -> str:
    return f"/tenants/{found.id}"


HANDLERS: Final[list[Any]] = [
    tenants,
    add_tenant,
    tenant,
    limit_tenant,
    choose_pools,
    suspend_tenant,
    resume_tenant,
]
