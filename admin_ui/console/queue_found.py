"""What waits, one by one, by filters: of a credential, from an egress, older than so long; acted on, or written out.

The queue is looked through a part at a time (BoxQueue.look): a page may find nothing and say how to look further.
What is done to "all of it", and a file, are jobs that go through the whole queue.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import MAX_ID, in_field
from admin_ui.api.queue import domain_of, given_of
from admin_ui.api.rates import Rate
from admin_ui.console.form import Form
from admin_ui.console.messages import credentials_of
from admin_ui.console.queue import DONE, pool_of
from admin_ui.console.queue_place import PAGE, egresses_of, place_in, waits_badge
from admin_ui.console.queue_words import why_words
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core import clock, ids
from appliance.core.errors import NotRunningError, UsageError
from appliance.core.scope import BOX
from appliance.rights import Right
from mta.scheduling.changes import Action

if TYPE_CHECKING:
    from admin_ui.desks import Row
    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope

STATES: Final = (
    ("", "All"),
    ("queued", "Not yet tried"),
    ("deferred", "Waiting"),
    ("held", "Held"),
)
_EXPORTS: Final = Rate(5 / 60, 5)
_LOOKS: Final = Rate(2, 30)
_MOST_HOURS: Final = 24 * 365
_MOST_ATTEMPTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks for, as it stands in the page's address."""

    tenant: str = ""
    credential: str = ""
    egress: str = ""
    domain: str = ""
    address: str = ""
    sender_domain: str = ""
    tag: str = ""
    state: str = ""
    hours: str = ""  # waits longer than these
    attempts: str = ""  # at least
    cursor: str = ""

    def link(self, **other: str) -> str:
        """The page's address with something else in it."""
        new = replace(self, **{"cursor": "", **other})
        given = {one.name: getattr(new, one.name) for one in fields(new)}
        said = {name: value for name, value in given.items() if value}
        return f"/queue/found?{urlencode(said)}" if said else "/queue/found"

    @property
    def kept(self) -> dict[str, str]:
        """What a form of the page carries along."""
        names = [one.name for one in fields(self) if one.name != "cursor"]
        return {name: value for name in names if (value := getattr(self, name))}

    def acting(self, action: str) -> dict[str, str]:
        """The same with what is to be done."""
        return self.kept | {"action": action}


@get("/queue/found", opt={RIGHT: Right.QUEUE_READ, RATE: _LOOKS})
async def found(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The list."""
    given = visit.request.query_params
    form = Form({name: given.getall(name) for name in given.keys()})  # noqa: SIM118 - a MultiDict
    return await _page(rooms, visit, wanted_of(form))


def wanted_of(form: Form) -> Wanted:
    """What the address, or a form, asks for."""
    return Wanted(**{one.name: form.text(one.name, most=320) for one in fields(Wanted)})


async def _page(
    rooms: Rooms, visit: Visit, wanted: Wanted, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    seen, credentials, pools, egresses = await asyncio.gather(
        _look(rooms, visit, wanted),
        credentials_of(visit, wanted.credential),
        rooms.pools.list(visit.scope),
        egresses_of(rooms, visit),
    )
    if isinstance(seen, Problem):
        problem, seen = seen, ([], "")
    rows, after = seen or ([], "")
    return await visit.page(
        "queue_found.html",
        problem=problem,
        is_silent=seen is None,
        wanted=wanted,
        rows=rows,
        after=after,
        is_full=len(rows) >= PAGE,
        credentials=credentials,
        egresses=egresses,
        pools=pools,
        states=STATES,
        badge_of=waits_badge,
        words_of=lambda one: why_words(one, is_box=visit.is_box),
    )


async def _look(
    rooms: Rooms, visit: Visit, wanted: Wanted
) -> tuple[list[Row], str] | Problem | None:
    """What is found, and where to look further; None when nobody could say."""
    try:
        scope, given = await _asked(rooms, visit, wanted)
        look = await rooms.queue.look(scope, given, place_in(wanted.cursor), PAGE)
    except UsageError as error:
        return Problem.of(error)
    except NotRunningError:
        return None
    after = f"{ids.to_text(look.after[0])}-{look.after[1]}" if look.after else ""
    return look.rows, after


async def _asked(rooms: Rooms, visit: Visit, wanted: Wanted) -> tuple[Scope, dict[str, Any]]:
    """As the owners of the queue are asked, and of whose mail. Raises UsageError, naming the field."""
    scope = visit.scope
    if wanted.tenant and visit.is_box:
        with in_field("tenant"):
            scope = scope.within((await rooms.tenants.get(scope, wanted.tenant.lower())).id)
    form = Form({one.name: [getattr(wanted, one.name)] for one in fields(wanted)})
    hours = form.whole("hours", most=_MOST_HOURS)
    given = {
        "credential_id": form.whole("credential", most=MAX_ID),
        "egress": wanted.egress if visit.is_box else "",
        "domain": domain_of(wanted.domain),
        "address": wanted.address,
        "sender_domain": wanted.sender_domain.removeprefix("@").lower(),
        "tag": wanted.tag,
        "status": form.one_of("state", [one for one, _ in STATES]),
        "before": visit.stage.now() - hours * clock.HOUR if hours else 0,
        "attempts": form.whole("attempts", most=_MOST_ATTEMPTS),
    }
    return scope, given_of(given)


@post("/queue/found/act", opt={RIGHT: Right.QUEUE_OPERATE})
async def act_on_found(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """All that the filters find, as a job."""
    wanted = wanted_of(visit.form)
    try:
        action = visit.form.choice("action", Action)
        pool = await pool_of(rooms, visit, action)
        scope, given = await _asked(rooms, visit, wanted)
        if not given and scope == visit.scope:
            raise UsageError("say what is meant: this would be the whole queue", field="address")
    except UsageError as error:
        return visit.refused(error)
    if action is Action.RELEASE:
        given = {"status": "held"} | given
    job = await rooms.queue.order(scope, action, given, pool)
    return visit.to(f"/jobs/{job.id}", *DONE[action])


@post("/queue/export", opt={RIGHT: Right.QUEUE_READ, RATE: _EXPORTS})
async def export_queue(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """What waits, or what the filters find of it, as a file, by a job."""
    visit.actor.require(Right.JOBS_READ)
    try:
        scope, given = await _asked(rooms, visit, wanted_of(visit.form))
    except UsageError as error:
        return visit.refused(error)
    job = await rooms.exports.order(scope, scope.tenant_id or BOX, "queue", given)
    return visit.to(f"/jobs/{job.id}", "The export has begun", "The file is there when it is done.")


HANDLERS: Final[list[Any]] = [found, act_on_found, export_queue]
