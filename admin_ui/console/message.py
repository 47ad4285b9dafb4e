"""A message: its time line, headers, source and events, and what may be done about it.

From the log and, for what waits, from the queue; a silent queue takes away what comes next and the buttons, not
the page. The bytes are kept for a while (spool.keep_content) and shown to who may read them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from admin_ui.api.guard import RIGHT, Asker
from admin_ui.api.messages import id_of
from admin_ui.api.send import handed_by
from admin_ui.console.source import fields_of, lines_of
from admin_ui.console.story import MOST_SHOWN, Story, story_of
from admin_ui.console.timeline import time_line, tries_of, waits
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core import ids
from appliance.core.errors import ConflictError, NotFoundError, NotRunningError, UsageError
from appliance.rights import Right
from appliance.sending import Kept, Taken
from mta.scheduling.changes import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ: Final = {RIGHT: Right.MESSAGES_READ}
_TABS: Final = ("", "headers", "source", "events")
_OF_SOURCE: Final = frozenset({"headers", "source"})
_DONE: Final = {
    Action.RETRY: "Tried again at once",
    Action.HOLD: "Held",
    Action.RELEASE: "Released",
    Action.CANCEL: "Cancelled",
}
_ACTIONS: Final = tuple(action.value for action in _DONE)


@get("/messages/{message:str}", opt=_READ)
async def message(message: FromPath[str], visit: WhoVisits) -> Response[bytes]:
    """The page."""
    return await _page(visit, id_of(message))


async def _page(visit: Visit, number: int, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    query = visit.request.query_params
    tab = query.get("tab", "") if query.get("tab", "") in _TABS else ""
    story, is_silent = await _story(visit, number)
    if tab in _OF_SOURCE:
        visit.actor.require(Right.MESSAGES_SOURCE)
    kept, lost = await _kept(visit, number) if tab in _OF_SOURCE else (None, "")
    credential, tenant = await asyncio.gather(_credential(visit, story), _tenant(visit, story))
    tries = tries_of(story)
    chosen = next(
        (one for one in tries if one.key == query.get("try", "")), tries[-1] if tries else None
    )
    return await visit.page(
        "message.html",
        problem=problem,
        story=story,
        tab=tab,
        tenant=tenant,
        credential=credential,
        is_silent=is_silent,
        moments=time_line(story, credential),
        waits=waits,
        tries=tries,
        chosen=chosen,
        kept=kept,
        lost=lost,
        fields=fields_of(kept.content) if kept and tab == "headers" else (),
        lines=lines_of(kept.content) if kept and tab == "source" else (),
        most=MOST_SHOWN,
    )


async def _story(visit: Visit, number: int) -> tuple[Story, bool]:
    """What is known, and whether the queue is silent. Raises NotFoundError, or what kept it from answering."""
    waiting, silence = await _in_queue(visit, number)
    try:
        past = await asyncio.to_thread(visit.rooms.log.show, visit.scope, number)
    except NotFoundError:
        if silence is not None:  # it may be there, and be so new that the log has nothing of it
            raise silence from None
        if waiting is None:
            raise
        past = None
    return story_of(past, waiting), silence is not None


async def _in_queue(
    visit: Visit, number: int
) -> tuple[Mapping[str, Any] | None, NotRunningError | None]:
    """What waits of it, and what kept the queue from answering."""
    try:
        return await visit.rooms.queue.show(visit.scope, number), None
    except NotFoundError:
        return None, None
    except NotRunningError as error:
        return None, error


async def _kept(visit: Visit, number: int) -> tuple[Kept | None, str]:
    """The bytes, or why there are none."""
    try:
        return await visit.rooms.resending.find(visit.scope, number), ""
    except (ConflictError, NotFoundError) as error:
        return None, str(error)
    except NotRunningError:
        return None, ""


async def _credential(visit: Visit, story: Story) -> str:
    """The name of the login or key that sent it; "" when it is gone."""
    if not story.credential_id:
        return ""
    try:
        return (await visit.rooms.credentials.get(visit.scope, story.credential_id)).name
    except NotFoundError:
        return ""


async def _tenant(visit: Visit, story: Story) -> str:
    """Whose it is, where that is not plain."""
    if not visit.is_box:
        return ""
    return (await visit.rooms.tenants.names(visit.scope, [story.tenant_id])).get(
        story.tenant_id, "The box"
    )


@get("/messages/{message:str}/source.eml", opt={RIGHT: Right.MESSAGES_SOURCE})
async def source(message: FromPath[str], rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its bytes, as a file."""
    kept = await rooms.resending.find(visit.scope, id_of(message))
    return Response(
        kept.content,
        media_type="message/rfc822",
        headers={
            "Content-Disposition": f'attachment; filename="{ids.to_text(kept.id)}.eml"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


@post("/messages/{message:str}/act", opt={RIGHT: Right.QUEUE_OPERATE})
async def act(message: FromPath[str], rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Retry, hold, release or cancel all that waits of it."""
    number = id_of(message)
    action = Action(visit.form.one_of("action", _ACTIONS))
    counts = await rooms.queue.act(visit.scope, number, action)
    here = f"/messages/{ids.to_text(number)}"
    if not counts["changed"]:
        return visit.to(here, "Nothing changed", _why_not(counts), kind="error")
    many = f"For {counts['changed']} recipient{'s' * (counts['changed'] != 1)}."
    return visit.to(here, _DONE[action], many)


def _why_not(counts: Mapping[str, int]) -> str:
    if counts["being_sent"]:
        return "It is being sent this moment: look again in a minute."
    return "It is due already." if counts["ready"] else "Nothing of it waits that this concerns."


@post("/messages/{message:str}/resend", opt={RIGHT: Right.MESSAGES_SEND})
async def resend(message: FromPath[str], rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The same bytes as a new message, to whom is ticked."""
    number = id_of(message)
    try:
        kept = await rooms.resending.find(visit.scope, number)
        wanted = visit.form.many("recipient")
        if not wanted:
            raise UsageError("tick who is to get it", field="recipient")
        asker = Asker(visit.actor, visit.own.client.address)
        handed = await handed_by(rooms, asker, kept.tenant_id)
        result = await rooms.resending.send(visit.scope, handed, kept, wanted)
    except (UsageError, ConflictError) as error:
        return await _page(
            visit, number, Problem(words=str(error), field="recipient", dialog="resend")
        )
    if not isinstance(result, Taken):
        words = f"It was not taken: {result.words}"
        return await _page(visit, number, Problem(words=words, field="recipient", dialog="resend"))
    new = ids.to_text(result.id)
    many = f"{result.recipients} recipient{'s' * (result.recipients != 1)}"
    return visit.to(
        f"/messages/{ids.to_text(number)}", "Sent again", f"To {many}, as message {new}."
    )


@post("/messages/{message:str}/suppress", opt={RIGHT: Right.SUPPRESSIONS_MANAGE})
async def suppress(message: FromPath[str], rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Write to one of its recipients no more."""
    visit.actor.require(Right.MESSAGES_READ)
    number = id_of(message)
    story, _ = await _story(visit, number)
    n = visit.form.whole("n")
    person = next((one for one in story.people if one.n == n), None)
    if person is None:
        raise NotFoundError("the message has no such recipient")
    added = await rooms.suppressions.add(visit.scope, person.address, tenant_id=story.tenant_id)
    return visit.to(
        f"/messages/{story.id}", "Suppressed", f"{added.target} is not written to from now on."
    )


HANDLERS: Final[list[Any]] = [message, source, act, resend, suppress]
