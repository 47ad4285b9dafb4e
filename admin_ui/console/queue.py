"""Queue: what waits, why and until when; by destination, provider, tenant or egress, with people's hands on it.

What is picked is acted on as one job (appliance/run/queue_job.py), whose page shows how far it is. Groups are the
fullest of a count that may be some seconds old: pages go through these alone. A destination: queue_place.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from litestar import Response, get, post
from litestar.params import FromQuery

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import in_field
from admin_ui.console.queue_words import lines_of, stats_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.desks import Row
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import NotFoundError, NotRunningError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.rights import Right
from mta.egress import EgressState
from mta.scheduling.census import MOST_ROWS, By
from mta.scheduling.changes import Action
from mta.scheduling.why import TITLES, Why
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from appliance.egress import EgressRecord

PAGE: Final = 25
_MOST_PAGES: Final = MOST_ROWS // PAGE
_MOST_PICKS: Final = 200
_GROUPINGS: Final = {
    By.DOMAIN: ("destination", "destinations", "Destination"),
    By.PROVIDER: ("provider", "providers", "Provider"),
    By.TENANT: ("tenant", "tenants", "Tenant"),
    By.EGRESS: ("egress", "addresses", "Egress"),
}
_OF_BOX: Final = frozenset({By.TENANT, By.EGRESS})
_FILTER: Final = {By.DOMAIN: "domain", By.PROVIDER: "provider", By.EGRESS: "egress"}
_STATES: Final = ("queued", "deferred", "held")
DONE: Final = {
    Action.RETRY: ("Tried again now", "What is picked leaves as fast as its receivers allow."),
    Action.HOLD: ("Being held", "It waits until somebody releases it."),
    Action.RELEASE: ("Being released", "It is tried now."),
    Action.REROUTE: ("Being rerouted", "It leaves from its new pool."),
    Action.CANCEL: ("Being cancelled", "It will not be sent."),
}
"""What the toast says of a job that has just begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of the queue is shown."""

    by: By
    kind: Why | None
    tenant: str
    page: int

    def link(self, **other: Any) -> str:
        """This page, changed."""
        said = {
            "by": self.by if self.by is not By.DOMAIN else "",
            "kind": self.kind or "",
            "tenant": self.tenant,
        }
        given = {name: str(value) for name, value in {**said, **other}.items() if value}
        return f"/queue?{urlencode(given)}" if given else "/queue"


@get("/queue", opt={RIGHT: Right.QUEUE_READ})
async def queue(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    visit: WhoVisits,
    by: FromQuery[str] = "",
    kind: FromQuery[str] = "",
    tenant: FromQuery[str] = "",
    q: FromQuery[str] = "",
    page: FromQuery[int] = 1,
) -> Response[bytes]:
    """What waits."""
    if q.strip() and (found := await _place_of(rooms, visit, q.strip()[:320])):
        return visit.to(found)
    wanted = Wanted(
        by=_grouping(by, visit),
        kind=Why(kind) if kind in tuple(Why) else None,
        tenant=tenant[:255] if visit.is_box else "",
        page=min(max(page, 1), _MOST_PAGES),
    )
    problem = Problem(words=f"{q[:80]} is no domain, tenant or message id") if q.strip() else None
    return await _page(rooms, visit, wanted, problem or NO_PROBLEM)


def _grouping(said: str, visit: Visit) -> By:
    known = {one for one in _GROUPINGS if visit.is_box or one not in _OF_BOX}
    return By(said) if said in known else By.DOMAIN


async def _place_of(rooms: Rooms, visit: Visit, said: str) -> str:
    """Where what somebody searched for is; "" for nowhere."""
    try:
        ids.from_text(said)
    except ValueError:
        pass
    else:
        return f"/messages/{quote(said, safe='')}"
    if "." in said:
        return f"/queue/{quote(said.lower().rpartition('@')[2], safe='')}"
    if not visit.is_box:
        return ""
    try:
        found = await rooms.tenants.get(visit.scope, said.lower())
    except (NotFoundError, UsageError):
        return ""
    return f"/queue?{urlencode({'tenant': found.name})}"


async def _page(
    rooms: Rooms, visit: Visit, wanted: Wanted, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    scope = await _scope(rooms, visit, wanted.tenant)
    stop, pools = await asyncio.gather(
        rooms.operations.kill_status(), rooms.pools.list(visit.scope)
    )
    found, live, lines = None, None, []
    try:
        found, live = await asyncio.gather(
            rooms.queue.summary(scope, wanted.by, wanted.page * PAGE, wanted.kind),
            rooms.queue.live(scope),
        )
        groups = found["groups"][(wanted.page - 1) * PAGE :]
        egresses = await _egresses(rooms, visit)
        lines = lines_of(groups, egresses, visit.stage.now(), stop, is_box=visit.is_box)
    except NotRunningError:
        found = None
    return await visit.page(
        "queue.html",
        said=problem.words,
        wanted=wanted,
        found=found,
        stats=stats_of(found, live, stop, visit.stage.now()) if found and live else (),
        lines=lines,
        first=(wanted.page - 1) * PAGE + 1,
        total=_total(found, wanted),
        chips=_chips(found, wanted),
        noun=_GROUPINGS[wanted.by],
        groupings=[
            (one, _GROUPINGS[one]) for one in _GROUPINGS if visit.is_box or one not in _OF_BOX
        ],
        pools=pools,
        is_more=found is not None and _is_more(found, wanted),
    )


async def _scope(rooms: Rooms, visit: Visit, tenant: str) -> Scope:
    if not tenant:
        return visit.scope
    return visit.scope.within((await rooms.tenants.get(visit.scope, tenant)).id)


async def _egresses(rooms: Rooms, visit: Visit) -> dict[str, tuple[str, str]]:
    """Address and state of each egress by name; of the box's own view alone."""
    if not visit.is_box or not visit.may(Right.EGRESS_READ):
        return {}
    records, warmups = await asyncio.gather(
        rooms.egresses.list(visit.scope), rooms.warmups.list(visit.scope)
    )
    warming = {one.egress for one in warmups if one.state is not WarmupState.WARM}
    return {one.name: (one.address or one.address6, _standing(one, warming)) for one in records}


def _standing(one: EgressRecord, warming: set[str]) -> str:
    """What is special about an address; "" for one that just sends."""
    if one.state is not EgressState.ENABLED:
        return one.state.value
    return "warming" if one.name in warming else ""


def _total(found: Row | None, wanted: Wanted) -> int:
    if found is None:
        return 0
    if wanted.kind is None:
        return int(found["total"])
    of_kind = [one for one in found["reasons"] if one["kind"] == wanted.kind]
    return int(of_kind[0]["destinations"]) if of_kind else len(found["groups"])


def _is_more(found: Row, wanted: Wanted) -> bool:
    upto = wanted.page * PAGE
    return (
        len(found["groups"]) >= upto and wanted.page < _MOST_PAGES and _total(found, wanted) > upto
    )


def _chips(found: Row | None, wanted: Wanted) -> list[tuple[str, str, int | None, bool]]:
    """All, and each kind of reason that there is."""
    reasons = found["reasons"] if found else []
    whole = found["total"] if found else None
    items = [(wanted.link(kind=""), "All", whole, wanted.kind is None)]
    return items + [
        (
            wanted.link(kind=one["kind"]),
            TITLES[Why(one["kind"])],
            one["destinations"],
            one["kind"] == wanted.kind,
        )
        for one in reasons[:8]
    ]


@post("/queue/actions", opt={RIGHT: Right.QUEUE_OPERATE})
async def act_on_picked(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Retry, hold, release, reroute or cancel what is picked: as one job."""
    form = visit.form
    try:
        by = form.one_of(
            "by", [one.value for one in _GROUPINGS if visit.is_box or one not in _OF_BOX]
        )
        action, picks = _asked(visit)
        pool = await pool_of(rooms, visit, action)
        scope = await _scope(rooms, visit, form.text("tenant", most=255) if visit.is_box else "")
        parts = [await _part(rooms, visit, By(by), one) for one in picks]
    except UsageError as error:
        return visit.refused(error)
    counts = await _counts(rooms, scope, By(by))
    parts = [
        part | {"expected": counts.get(pick, 0)} for part, pick in zip(parts, picks, strict=True)
    ]
    job = await rooms.queue.order(scope, action, {}, pool, parts)
    title, text = DONE[action]
    return visit.to(f"/jobs/{job.id}", title, text)


def _asked(visit: Visit) -> tuple[Action, tuple[str, ...]]:
    """What to do to which groups: the one of a row's own button, or those that are ticked."""
    form = visit.form
    one = form.text("one", most=400)
    if one:
        word, _, pick = one.partition(" ")
        picks: tuple[str, ...] = (pick,)
    else:
        word, picks = form.text("action", most=20), form.many("pick", most=_MOST_PICKS)
    if word not in tuple(Action):
        raise UsageError("choose what is to be done", field="action")
    if not picks:
        raise UsageError("nothing is ticked: tick what is meant", field="pick")
    return Action(word), picks


async def pool_of(rooms: Rooms, visit: Visit, action: Action) -> str:
    """The pool of a reroute; "" is the one that each tenant uses."""
    pool = visit.form.text("pool", most=255).lower()
    if action is not Action.REROUTE or not pool:
        return ""
    with in_field("pool"):
        await rooms.pools.usable(visit.scope, pool, visit.scope.tenant_id or BOX)
    return pool


async def _counts(rooms: Rooms, scope: Scope, by: By) -> dict[str, int]:
    """How many recipients are in each group, so that the job can tell how far it is."""
    found = await rooms.queue.summary(scope, by, MOST_ROWS)
    return {f"{one['status']} {one['name']}": int(one["count"]) for one in found["groups"]}


async def _part(rooms: Rooms, visit: Visit, by: By, pick: str) -> Row:
    """A group as a filter: "deferred outlook.com"."""
    state, _, name = pick.partition(" ")
    if state not in _STATES or not name:
        raise UsageError("this cannot be acted on: open it and act on its messages", field="pick")
    if by is By.TENANT:
        with in_field("pick"):
            return {"tenant_id": (await rooms.tenants.get(visit.scope, name)).id, "status": state}
    return {_FILTER[by]: name, "status": state}


HANDLERS: Final[list[Any]] = [queue, act_on_picked]
