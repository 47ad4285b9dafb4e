"""Webhooks: endpoints that are told what becomes of mail: how far each is, and what it said.

A secret is shown by the answer to the form that makes it, and nowhere else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import Id, cut
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.domains import owner_id, tenants_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import UsageError
from appliance.rights import Right
from appliance.webhooks import (
    REPLAY,
    TEST,
    TYPES,
    Change,
    Endpoint,
    IssuedEndpoint,
    Outcome,
    Standing,
    replay_order,
)
from appliance.webhooks.rules import MAX_DESCRIPTION, MAX_URL

if TYPE_CHECKING:
    from appliance.jobs import Job

PAGE: Final = 50
MOST_JOBS: Final = 20
CODES: Final = {"python": "Python", "node": "Node"}
OUTCOMES: Final = {
    Outcome.TAKEN: ("Taken", "good"),
    Outcome.REFUSED: ("Refused", "bad"),
    Outcome.FAILED: ("Failed", "bad"),
    Outcome.GONE: ("Gone", "bad"),
}
"""How each outcome of an attempt is shown."""

_TRIES: Final = Rate(0.5, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An endpoint in the list."""

    endpoint: Endpoint
    standing: Standing
    word: str
    kind: str


@get("/webhooks", opt={RIGHT: Right.WEBHOOKS_READ})
async def webhooks(rooms: Behind, visit: WhoVisits, cursor: Cursor = "") -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, cursor)


async def _list(
    rooms: Behind, visit: Visit, cursor: str = "", problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    scope = visit.scope
    found, tenants = await asyncio.gather(
        rooms.webhooks.list(scope, after=place_of(cursor), limit=PAGE + 1),
        tenants_of(rooms, visit),
    )
    page, after = cut(found, PAGE, lambda one: one.id)
    standings, owners = await asyncio.gather(
        rooms.webhooks.standings(scope, [one.id for one in page]),
        rooms.tenants.names(scope, {one.tenant_id for one in page}),
    )
    rows = [_row(one, standings[one.id]) for one in page if one.id in standings]
    return await visit.page(
        "webhooks.html",
        problem=problem,
        rows=rows,
        owners=owners,
        tenants=tenants,
        types=TYPES,
        outcomes=OUTCOMES,
        after=after,
        cursor=cursor,
    )


def _row(one: Endpoint, standing: Standing) -> Row:
    word, kind = _state(one, standing)
    return Row(endpoint=one, standing=standing, word=word, kind=kind)


def _state(one: Endpoint, standing: Standing) -> tuple[str, str]:
    if not one.is_enabled:
        return "Disabled", "off"
    if standing.is_failing:
        return "Failing", "bad"
    return ("Not used yet", "way") if standing.last is None else ("Right", "good")


@post("/webhooks", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def add_webhook(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The secret is in the answer and nowhere else."""
    form = visit.form
    try:
        made = await rooms.webhooks.create(
            visit.scope,
            url=form.needed("url", most=MAX_URL),
            types=form.many("types"),
            description=form.text("description", most=MAX_DESCRIPTION),
            tenant_id=await owner_id(rooms, visit),
        )
    except UsageError as error:
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return await _secret(visit, made)


async def _secret(visit: Visit, made: IssuedEndpoint) -> Response[bytes]:
    return await visit.page("webhook_secret.html", one=made.endpoint, secret=made.secret)


@get("/webhooks/{webhook_id:int}", opt={RIGHT: Right.WEBHOOKS_READ})
async def webhook(
    webhook_id: Id,
    rooms: Behind,
    visit: WhoVisits,
    code: FromQuery[str] = "",
    cursor: Cursor = "",
) -> Response[bytes]:
    """One: its settings, how far it is, what it said."""
    return await _one(rooms, visit, webhook_id, code, cursor)


async def _one(
    rooms: Behind,
    visit: Visit,
    webhook_id: int,
    code: str = "",
    cursor: str = "",
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    scope = visit.scope
    one = await rooms.webhooks.get(scope, webhook_id)
    standings, found, owners, jobs = await asyncio.gather(
        rooms.webhooks.standings(scope, [webhook_id]),
        rooms.webhooks.deliveries(scope, webhook_id, before=place_of(cursor), limit=PAGE + 1),
        rooms.tenants.names(scope, {one.tenant_id}),
        rooms.jobs.list(scope.within(one.tenant_id), open_only=True, limit=MOST_JOBS),
    )
    rows, after = cut(found, PAGE, lambda attempt: attempt.id)
    return await visit.page(
        "webhook.html",
        problem=problem,
        row=_row(one, standings[webhook_id]),
        owner=owners.get(one.tenant_id, ""),
        rows=rows,
        after=after,
        cursor=cursor,
        replays=[job for job in jobs if _is_replay_to(job, webhook_id)],
        types=TYPES,
        test=TEST,
        outcomes=OUTCOMES,
        codes=CODES,
        code=code if code in CODES else "python",
    )


def _is_replay_to(job: Job, webhook_id: int) -> bool:
    return job.kind == REPLAY and job.asked.get("webhook") == webhook_id


@post("/webhooks/{webhook_id:int}", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def change_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its address, what it is told, its description."""
    form = visit.form
    await rooms.webhooks.get(visit.scope, webhook_id)
    try:
        wanted = Change(
            url=form.needed("url", most=MAX_URL),
            types=form.many("types"),
            description=form.text("description", most=MAX_DESCRIPTION),
        )
        await rooms.webhooks.change(visit.scope, webhook_id, wanted)
    except UsageError as error:
        return await _one(rooms, visit, webhook_id, problem=Problem.of(error, "change"))
    return visit.to(_path(webhook_id), "Saved", "It holds from the next event on.")


@post("/webhooks/{webhook_id:int}/secret", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def rotate_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new secret; what is sent is signed with the old one too, for a day."""
    return await _secret(visit, await rooms.webhooks.rotate(visit.scope, webhook_id))


@post("/webhooks/{webhook_id:int}/disable", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def disable_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """It is told nothing until it is enabled."""
    reason = visit.form.text("reason", most=500)
    await rooms.webhooks.disable(visit.scope, webhook_id, reason=reason)
    return visit.to(_path(webhook_id), "Disabled", "It keeps its place, as far as the log reaches.")


@post("/webhooks/{webhook_id:int}/enable", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def enable_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """It goes on where it stopped, or at what comes from now on."""
    is_skipping = visit.form.one_of("from", ("there", "now")) == "now"
    await rooms.webhooks.enable(visit.scope, webhook_id, skip=is_skipping)
    words = "It is told what comes from now on." if is_skipping else "It is told what it missed."
    return visit.to(_path(webhook_id), "Enabled", words)


@post("/webhooks/{webhook_id:int}/test", opt={RIGHT: Right.WEBHOOKS_MANAGE, RATE: _TRIES})
async def test_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Send it a `webhook.test` now."""
    made = await rooms.webhook_trials.test(visit.scope, webhook_id)
    words = f"{made.status or 'No answer'} after {made.took} ms. {made.answer}".strip()
    if made.outcome is Outcome.TAKEN:
        return visit.to(_path(webhook_id), "The receiver took it", words)
    return visit.to(_path(webhook_id), "The receiver did not take it", words, kind="error")


@post("/webhooks/{webhook_id:int}/replay", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def replay_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Send again what was given up, or, as a job, all that happened since a time."""
    form, scope = visit.form, visit.scope
    endpoint = await rooms.webhooks.get(scope, webhook_id)
    try:
        since = form.moment("since", visit.stage.zone)
        if form.one_of("what", ("failed", "all")) == "failed":
            count = await rooms.webhooks.replay_failed(scope, webhook_id, since=since)
            return visit.to(_path(webhook_id), "Sent again", f"{count:,} events are tried at once.")
        if not since:
            raise UsageError("say since when", field="since")
    except UsageError as error:
        return await _one(rooms, visit, webhook_id, problem=Problem.of(error, "replay"))
    job = await rooms.jobs.order(scope, replay_order(endpoint, since))
    return visit.to(f"/jobs/{job.id}", "The replay has begun", "It goes on when you leave.")


@post("/webhooks/{webhook_id:int}/replay-event", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def replay_event(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Send one event again."""
    event = visit.form.needed("event", most=100)
    await rooms.webhook_trials.replay(visit.scope, rooms.log, webhook_id, event)
    return visit.to(_path(webhook_id), "Sent again", "It is tried at once, and stands below then.")


@post("/webhooks/{webhook_id:int}/delete", opt={RIGHT: Right.WEBHOOKS_MANAGE})
async def delete_webhook(webhook_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """With what waits for it and its deliveries."""
    gone = await rooms.webhooks.delete(visit.scope, webhook_id)
    return visit.to("/webhooks", "Deleted", f"{gone.url} is told nothing any more.")


def _path(webhook_id: int) -> str:
    return f"/webhooks/{webhook_id}"


HANDLERS: Final[list[Any]] = [
    webhooks,
    add_webhook,
    webhook,
    change_webhook,
    rotate_webhook,
    disable_webhook,
    enable_webhook,
    test_webhook,
    replay_webhook,
    replay_event,
    delete_webhook,
]
