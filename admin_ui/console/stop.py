"""Stop: the kill switch as a page: what will happen in real numbers, why, the words to type, and the way back.

The words are checked here as well as in the browser; what the switch does is the room's (appliance/operations).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post

from admin_ui.api.guard import RIGHT
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.desks import Row
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import ForbiddenError, NotRunningError, UsageError
from appliance.rights import Right
from mta.scheduling.census import By

DIALOG: Final = "stop"
_BOX_ONLY: Final = (
    "all sending of the box is stopped from the view of the whole box: change the view"
)


@get("/stop", opt={RIGHT: Right.SENDING_STOP})
async def stop(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The question, or the way back."""
    return await _page(rooms, visit)


async def _page(rooms: Rooms, visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    if not visit.is_box:
        raise ForbiddenError(_BOX_ONLY)
    waiting, live, tenants = await facts_of(rooms, visit)
    return await visit.page(
        "stop.html",
        problem=problem,
        waiting=waiting,
        live=live,
        tenants=tenants,
        words=f"stop {rooms.people.options.box_name}",
    )


async def facts_of(rooms: Rooms, visit: Visit) -> tuple[int | None, Row | None, int]:
    """What waits, how fast mail goes, how many tenants there are; None where nobody answers."""
    waiting, live = None, None
    try:
        found, live = await asyncio.gather(
            rooms.queue.summary(visit.scope, By.DOMAIN, 1), rooms.queue.live(visit.scope)
        )
        waiting = sum(found["counts"].values())
    except NotRunningError:
        pass  # the switch works without: the processes read it when they are back
    return waiting, live, len(await rooms.tenants.list(visit.scope))


@post("/stop", opt={RIGHT: Right.SENDING_STOP})
async def stop_sending(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Nothing leaves any more."""
    form = visit.form
    if not visit.is_box:
        raise ForbiddenError(_BOX_ONLY)
    try:
        reason = form.needed("reason", most=500)
        form.confirmed("confirm", f"stop {rooms.people.options.box_name}")
        await rooms.operations.kill(visit.scope, reason=reason)
    except UsageError as error:
        return await _page(rooms, visit, Problem.of(error))
    return visit.to("/queue", "All sending is stopped", "New mail is accepted and waits.")


@post("/stop/resume", opt={RIGHT: Right.SENDING_STOP})
async def resume_sending(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Mail goes on."""
    if not visit.is_box:
        raise ForbiddenError(_BOX_ONLY)
    try:
        reason = visit.form.text("reason", most=500)
        await rooms.operations.revive(visit.scope, reason=reason)
    except UsageError as error:
        return await _page(rooms, visit, Problem.of(error))
    return visit.to(
        "/queue", "Sending goes on", "What waited leaves as fast as warmup and receivers allow."
    )


HANDLERS: Final[list[Any]] = [stop, stop_sending, resume_sending]
