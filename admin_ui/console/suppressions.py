"""Suppressions: who is not written to, and why; added, removed, imported and exported.

The rows that a search finds are paged by a cursor, so that a list of a million costs what its page has.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import ConflictError, StoreError, UsageError
from appliance.core.scope import BOX
from appliance.history import Flag
from appliance.rights import Right
from appliance.suppressions import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.history import Found
    from appliance.suppressions import Counted, Entry

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
    found, counted = await asyncio.gather(
        rooms.suppressions.list(
            visit.scope, after=place_of(cursor), limit=PAGE + 1, prefix=q, reason=wanted
        ),
        rooms.suppressions.counts(visit.scope),
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    origins, names = await asyncio.gather(_origins(rooms, rows), _names(visit, rows))
    return await visit.page(
        "suppressions.html",
        problem=problem,
        rows=rows,
        after=after,
        cursor=cursor,
        q=q,
        reason=wanted,
        reasons=REASONS,
        chips=_chips(wanted, counted),
        counted=counted,
        origins=origins,
        names=names,
        box=BOX,
    )


def _chips(wanted: Reason | None, counted: Counted) -> list[list[Any]]:
    """All, and each reason; with how many, where that is known."""
    of = counted.by_reason
    every = [["/suppressions", "All", None if counted.is_cut else counted.total, wanted is None]]
    return every + [
        [
            f"/suppressions?reason={one}",
            word,
            None if counted.is_cut else of.get(one, 0),
            one is wanted,
        ]
        for one, (word, _, _) in REASONS.items()
    ]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a suppression came of: the message, and what was said."""

    message: str
    words: str


async def _origins(rooms: Rooms, rows: Sequence[Entry]) -> dict[int, Origin]:
    """By the entry's id, of those whose message the log still has."""
    keys = {one.id: key for one in rows if (key := _key_of(one.event_id)) is not None}
    try:
        found = await asyncio.to_thread(rooms.log.several, set(keys.values()))
    except StoreError:
        return {}  # the list is of use without it
    by_id = {one.id: one for one in rows}
    return {
        entry_id: Origin(ids.to_text(key[0]), _words(by_id[entry_id], found[key]))
        for entry_id, key in keys.items()
        if key in found and found[key].tenant_id == by_id[entry_id].tenant_id
    }


def _key_of(event_id: str) -> tuple[int, int] | None:
    """The recipient that an event's name speaks of (appliance/history/suppress.py)."""
    message, _, rest = event_id.partition(".")
    n = rest.partition(" ")[0].partition(".")[0]
    try:
        return ids.from_text(message), int(n)
    except ValueError:
        return None


def _words(entry: Entry, found: Found) -> str:
    about = f"“{found.subject}”" if found.subject else "a message"
    match entry.reason:
        case Reason.COMPLAINT:
            return f"Reported as unwanted: {about}"
        case Reason.UNSUBSCRIBE:
            return f"Unsubscribed from {about}"
        case _ if Flag.BOUNCED_LATE in found.flags:
            return f"Came back after it was taken: {about}"
        case _:
            return found.reply


async def _names(visit: Visit, rows: Sequence[Entry]) -> dict[int, str]:
    """Whose they are, where several are shown."""
    if not visit.is_box:
        return {}
    return await visit.rooms.tenants.names(visit.scope, {one.tenant_id for one in rows})


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


@post("/suppressions/remove", opt={RIGHT: Right.SUPPRESSIONS_MANAGE})
async def remove_picked(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """All that are ticked."""
    picked = [place_of(one) for one in visit.form.many("pick", most=PAGE)]
    if not picked:
        raise UsageError("tick the rows that are meant", field="pick")
    removed = await rooms.suppressions.remove_many(visit.scope, picked)
    many = f"{len(removed)} address{'es' * (len(removed) != 1)} may be written to again."
    return visit.to("/suppressions", "Removed", many)


@post("/suppressions/export", opt={RIGHT: Right.SUPPRESSIONS_READ, RATE: _IMPORTS})
async def export_suppressions(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The whole list as a file, by a job."""
    visit.actor.require(Right.JOBS_READ)
    owner = BOX if visit.scope.tenant_id is None else visit.scope.tenant_id
    job = await rooms.exports.order(visit.scope, owner, "suppressions", {})
    return visit.to(f"/jobs/{job.id}", "The export has begun", "The file is there when it is done.")


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
    remove_picked,
    export_suppressions,
    import_suppressions,
]
