"""Shaping: how mail to a domain goes and what slows it; what receivers' answers have slowed now; the rules."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import QueryParameter

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import PLAIN
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.console.words import sentence
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import NotFoundError, NotRunningError, UsageError
from appliance.domains.rules import checked_name
from appliance.rights import Right
from mta.shaping.throttle import Subject

_MOST: Final = 200
_Domain = Annotated[str, QueryParameter(max_length=253, pattern=PLAIN)]


@get("/shaping", opt={RIGHT: Right.EGRESS_READ})
async def shaping(rooms: Behind, visit: WhoVisits, domain: _Domain = "") -> Response[bytes]:
    """The page; with a domain it explains how mail to it goes."""
    return await _page(rooms, visit, domain.strip())


async def _page(
    rooms: Rooms, visit: Visit, domain: str = "", problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    every, book, tenants, (explained, wrong) = await asyncio.gather(
        rooms.throttles.all(visit.scope),
        rooms.files.shaping(),
        rooms.tenants.list(visit.scope),
        _explained(rooms, domain),
    )
    standing = [one for one in every if one.in_force]
    return await visit.page(
        "shaping.html",
        problem=problem,
        domain=domain,
        explained=explained,
        wrong=wrong,
        throttles=standing[:_MOST],
        count=len(standing),
        whose={one.id: one.name for one in tenants},
        book=book,
        at=visit.stage.now(),
    )


async def _explained(rooms: Rooms, domain: str) -> tuple[Any, str]:
    """How mail to it goes, or why nobody can say."""
    if not domain:
        return None, ""
    try:
        return await rooms.queue.explain(checked_name(domain)), ""
    except NotRunningError:
        return None, "The queue does not answer now: look again in a minute."
    except UsageError as error:
        return None, sentence(str(error))


@post("/shaping/lift", opt={RIGHT: Right.EGRESS_MANAGE})
async def lift(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """End a throttle now."""
    form = visit.form
    subject = Subject(
        form.needed("egress", most=255),
        form.needed("zone", most=255),
        form.whole("tenant"),
        form.text("domain", most=253),
    )
    try:
        await rooms.throttles.lift(visit.scope, subject, reason=form.needed("reason", most=500))
    except UsageError as error:
        return await _page(rooms, visit, "", Problem.of(error, form.text("dialog", most=40)))
    except NotFoundError as error:
        return visit.to("/shaping", "Nothing to lift", str(error), kind="error")
    return visit.to("/shaping", "Lifted", f"{subject} goes as configured again.")


HANDLERS: Final[list[Any]] = [shaping, lift]
