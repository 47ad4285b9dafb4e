"""One destination: why its mail waits, how mail goes there, who waits; and the pauses that are in force.

Recipients are paged by a cursor, oldest message first; what is named is acted on at once, all of it as a job.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import MAX_ID, Id, Name, in_field, known_provider
from admin_ui.api.queue import domain_of, id_of
from admin_ui.console.messages import credentials_of
from admin_ui.console.queue import DONE, pool_of
from admin_ui.console.queue_words import badge_of, why_words
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.desks import Place, Row
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import ConflictError, NotFoundError, NotRunningError, UsageError
from appliance.core.scope import BOX
from appliance.operations import Target
from appliance.rights import Right
from mta.scheduling.changes import Action
from mta.scheduling.why import Why

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = 50
_START: Final = (-1, -1)
_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})


@get("/queue/{domain:str}", opt={RIGHT: Right.QUEUE_READ})
async def destination(
    domain: Name, rooms: Behind, visit: WhoVisits, cursor: FromQuery[str] = ""
) -> Response[bytes]:
    """Its page."""
    try:
        name = domain_of(domain)
    except UsageError as error:
        raise NotFoundError(f"{domain} is no domain") from error
    seen = await _waiting(rooms, visit, name, place_in(cursor))
    found, after = seen or ([], "")
    explained, pauses, pools = await asyncio.gather(
        _explained(rooms, visit, name, is_silent=seen is None),
        rooms.operations.pauses(visit.scope),
        rooms.pools.list(visit.scope),
    )
    paused = [one for one in pauses if one.domain in ("", name)]
    names = await rooms.tenants.names(visit.scope, {one.tenant_id for one in paused} - {BOX})
    return await visit.page(
        "queue_place.html",
        is_silent=seen is None,
        domain=name,
        rows=found,
        after=after,
        cursor=cursor,
        explained=explained,
        pauses=[(one, _target_words(one, names)) for one in paused],
        pools=pools,
        badge_of=waits_badge,
        words_of=lambda one: why_words(one, is_box=visit.is_box),
    )


async def _waiting(
    rooms: Rooms, visit: Visit, name: str, after: Place
) -> tuple[list[Row], str] | None:
    """A page of it and where the next begins; None when nobody could say."""
    try:
        found = await rooms.queue.recipients(visit.scope, {"domain": name}, after, PAGE + 1)
    except NotRunningError:
        return None
    rows = found[:PAGE]
    last = f"{rows[-1]['id']}-{rows[-1]['n']}" if len(found) > PAGE else ""
    return rows, last


async def _explained(rooms: Rooms, visit: Visit, name: str, *, is_silent: bool) -> Row | None:
    """How mail goes there; of the box's own machinery only the box's people hear."""
    if is_silent or not (visit.is_box and visit.may(Right.EGRESS_READ)):
        return None
    try:
        return await rooms.queue.explain(name)
    except NotRunningError:
        return None


def waits_badge(one: Row) -> tuple[str, str, str]:
    """Word, kind and icon of why a recipient waits."""
    return badge_of(Why(one["kind"])) if one["kind"] else ("Being sent", "way", "send")


def place_in(cursor: str) -> Place:
    """Where the last page ended; what is none begins anew."""
    text, _, n = cursor.partition("-")
    try:
        return (ids.from_text(text), int(n)) if n.isascii() and n.isdecimal() else _START
    except ValueError:
        return _START


@post("/queue/{domain:str}/act", opt={RIGHT: Right.QUEUE_OPERATE})
async def act_on_destination(domain: Name, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """All that waits for a domain, as a job."""
    try:
        name, action = domain_of(domain), visit.form.choice("action", Action)
        pool = await pool_of(rooms, visit, action)
    except UsageError as error:
        return visit.refused(error)
    wanted = {"domain": name} | ({"status": "held"} if action is Action.RELEASE else {})
    job = await rooms.queue.order(visit.scope, action, wanted, pool)
    return visit.to(f"/jobs/{job.id}", *DONE[action])


@post("/queue/messages/{message:str}/{action:str}", opt={RIGHT: Right.QUEUE_OPERATE})
async def act_on_message(
    message: FromPath[str], action: FromPath[str], rooms: Behind, visit: WhoVisits
) -> Response[bytes]:
    """One message, at once."""
    if action not in tuple(Action):
        raise NotFoundError(f"nothing can be done that is called {action!r}")
    wanted = Action(action)
    pool = await pool_of(rooms, visit, wanted)
    counts = await rooms.queue.act(visit.scope, id_of(message), wanted, pool)
    back = visit.form.text("place", most=300)
    where = f"/queue/{quote(back, safe='')}" if back else visit.back("/queue")
    if not counts["changed"]:
        told = "An attempt runs now." if counts["being_sent"] else "It is due already."
        return visit.to(where, "Nothing changed", told, kind="error")
    return visit.to(
        where, DONE[wanted][0], f"{counts['changed']:,} recipients of message {message}."
    )


@get("/queue/pauses", opt={RIGHT: Right.QUEUE_READ})
async def pauses(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """What a person has paused."""
    return await _pauses(rooms, visit)


async def _pauses(rooms: Rooms, visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    found = await rooms.operations.pauses(visit.scope)
    wanted = visit.form.said("credential") or visit.request.query_params.get("credential", "")
    names, credentials, egresses = await asyncio.gather(
        rooms.tenants.names(visit.scope, {one.tenant_id for one in found} - {BOX}),
        credentials_of(visit, wanted[:20]),
        egresses_of(rooms, visit),
    )
    rows = [(one, _target_words(one, names, dict(credentials))) for one in found]
    return await visit.page(
        "queue_pauses.html",
        problem=problem,
        rows=rows,
        credentials=credentials,
        egresses=egresses,
        wanted=wanted[:20],
    )


def _target_words(
    one: Any, names: Mapping[int, str], credentials: Mapping[str, str] = _NO_NAMES
) -> str:
    number = str(one.credential_id or "")
    said = {
        "tenant": names.get(one.tenant_id, "") if one.tenant_id else "",
        "to": one.domain,
        "site": one.site,
        "provider": one.provider,
        "from": one.egress,
        "tag": one.tag,
        "credential": credentials.get(number, number),
    }
    return ", ".join(f"{name} {value}" for name, value in said.items() if value) or "everything"


@post("/queue/pauses", opt={RIGHT: Right.QUEUE_OPERATE})
async def add_pause(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Let mail that matches wait."""
    form = visit.form
    try:
        target = Target(
            tenant_id=await _tenant_of(rooms, visit),
            domain=form.text("domain", most=255),
            provider=await known_provider(rooms, form.text("provider", most=255)),
            tag=form.text("tag", most=255),
            credential_id=await _credential_of(rooms, visit),
            egress=await _egress_of(rooms, visit),
        )
        made = await rooms.operations.pause(
            visit.scope,
            target,
            reason=form.needed("reason", most=500),
            expires_at=form.moment("until", visit.stage.zone),
        )
    except (UsageError, ConflictError) as error:
        return await _pauses(rooms, visit, Problem.of(error, "pause"))
    said = f"{_target_words(made, {})} waits until it is resumed."
    return visit.to("/queue/pauses", "Paused", said)


async def _tenant_of(rooms: Rooms, visit: Visit) -> int:
    name = visit.form.text("tenant", most=255)
    if not visit.is_box or not name:
        return visit.scope.tenant_id or BOX
    with in_field("tenant"):
        return (await rooms.tenants.get(visit.scope, name)).id


async def _credential_of(rooms: Rooms, visit: Visit) -> int:
    """One that is not there would stop nothing, in silence."""
    number = visit.form.whole("credential", most=MAX_ID)
    if number:
        with in_field("credential"):
            await rooms.credentials.get(visit.scope, number)
    return number


async def _egress_of(rooms: Rooms, visit: Visit) -> str:
    """An address of the box's, which only its people know."""
    name = visit.form.text("egress", most=255)
    if not name:
        return ""
    visit.actor.require(Right.EGRESS_READ)
    if name not in {one for one, _ in await egresses_of(rooms, visit)}:
        raise UsageError(f"no egress is named {name!r}", field="egress")
    return name


async def egresses_of(rooms: Rooms, visit: Visit) -> list[tuple[str, str]]:
    """To choose from, for who may see the box's addresses."""
    if not (visit.is_box and visit.may(Right.EGRESS_READ)):
        return []
    names = [one.name for one in await rooms.egresses.list(visit.scope)]
    return [("", "All"), *((name, name) for name in names or [rooms.files.default_egress])]


@post("/queue/pauses/{pause_id:int}/resume", opt={RIGHT: Right.QUEUE_OPERATE})
async def resume(pause_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its mail goes on within a second."""
    await rooms.operations.resume(visit.scope, pause_id)
    back = visit.back("/queue/pauses")
    return visit.to(back, "Resumed", "Its mail goes on within a second.")


HANDLERS: Final[list[Any]] = [
    destination,
    act_on_destination,
    act_on_message,
    pauses,
    add_pause,
    resume,
]
