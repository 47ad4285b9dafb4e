"""Suppressions: who is not written to, and why; added, removed, imported and exported.

The rows that a search finds are paged by a cursor, so that a list of a million costs what its page has.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import ConflictError, UsageError
from appliance.core.scope import BOX
from appliance.rights import Right
from appliance.suppressions import Reason

PAGE: Final = 50
MAX_IMPORT: Final = 20_000_000  # characters: some 800,000 addresses
_IMPORTS: Final = Rate(5 / 60, 5)
REASONS: Final = {
    Reason.HARD_BOUNCE: ("Hard bounce", "bad", "x"),
    Reason.REPEATED_SOFT_BOUNCES: ("Soft bounces", "look", "triangle-alert"),
    Reason.COMPLAINT: ("Complaint", "look", "triangle-alert"),
    Reason.UNSUBSCRIBE: ("Unsubscribed", "off", "ban"),
    Reason.MANUAL: ("By hand", "off", "pencil"),
    Reason.IMPORT: ("Import", "off", "download"),
}
"""How each reason is shown: word, kind of its badge, icon."""

_Prefix = Annotated[str, QueryParameter(max_length=320, pattern=PLAIN)]


@get("/suppressions", opt={RIGHT: Right.SUPPRESSIONS_READ})
async def suppressions(
    rooms: Behind,
    visit: WhoVisits,
    q: _Prefix = "",
    reason: FromQuery[str] = "",
    cursor: Cursor = "",
) -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, q.strip(), reason, cursor)


async def _list(
    rooms: Behind,
    visit: Visit,
    q: str = "",
    reason: str = "",
    cursor: str = "",
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    wanted = Reason(reason) if reason in tuple(Reason) else None
    found = await rooms.suppressions.list(
        visit.scope, after=place_of(cursor), limit=PAGE + 1, prefix=q, reason=wanted
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    return await visit.page(
        "suppressions.html",
        problem=problem,
        rows=rows,
        after=after,
        cursor=cursor,
        q=q,
        reason=wanted,
        reasons=REASONS,
        box=BOX,
    )


@post("/suppressions", opt={RIGHT: Right.SUPPRESSIONS_MANAGE})
async def add_suppression(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One address or domain."""
    form = visit.form
    try:
        target = form.needed("target", most=320)
        expires_at = form.moment("expires", visit.stage.zone)
        added = await rooms.suppressions.add(
            visit.scope, target, reason=Reason.MANUAL, expires_at=expires_at
        )
    except (UsageError, ConflictError) as error:
        if isinstance(error, UsageError):
            error.field = error.field or "target"
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return visit.to("/suppressions", "Suppressed", f"{added.target} is not written to from now on.")


@post("/suppressions/{suppression_id:int}/remove", opt={RIGHT: Right.SUPPRESSIONS_MANAGE})
async def remove_suppression(
    suppression_id: Id, rooms: Behind, visit: WhoVisits
) -> Response[bytes]:
    """The address may be written to again, within a second."""
    found = await rooms.suppressions.get(visit.scope, suppression_id)
    await rooms.suppressions.remove(visit.scope, found.target, tenant_id=found.tenant_id)
    return visit.to("/suppressions", "Removed", f"{found.target} may be written to again.")


@post("/suppressions/import", opt={RIGHT: Right.SUPPRESSIONS_MANAGE, RATE: _IMPORTS})
async def import_suppressions(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A file or a pasted list, as a job."""
    form = visit.form
    try:
        text = form.lines("file", most=MAX_IMPORT).strip() or form.lines("text", most=MAX_IMPORT)
        if not text.strip():
            raise UsageError("choose a file, or paste a list", field="text")
    except UsageError as error:
        return await _list(rooms, visit, problem=Problem.of(error, "import"))
    owner = BOX if visit.scope.tenant_id is None else visit.scope.tenant_id
    job = await rooms.imports.suppressions(visit.scope, owner, text)
    return visit.to(f"/jobs/{job.id}", "The import has begun", "It goes on when you leave.")


HANDLERS: Final[list[Any]] = [
    suppressions,
    add_suppression,
    remove_suppression,
    import_suppressions,
]
