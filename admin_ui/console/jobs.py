"""Jobs: long work, how far each is, what came of it; exports are fetched here."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import File

from admin_ui.api.exports import NEEDED
from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import Id, cut
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import NotFoundError
from appliance.core.scope import BOX
from appliance.jobs import Job, JobState
from appliance.rights import Right

PAGE: Final = 50
_EXPORT: Final = "export"
STATES: Final = {
    JobState.PREPARING: ("Coming in", "way"),
    JobState.QUEUED: ("Waits for its turn", "way"),
    JobState.RUNNING: ("Running", "way"),
    JobState.DONE: ("Done", "good"),
    JobState.FAILED: ("Failed", "bad"),
    JobState.CANCELLED: ("Cancelled", "off"),
}
KINDS: Final = {
    "export": "Export",
    "suppression-import": "Import of suppressions",
    "queue-action": "Queue operation",
    "domain-recheck": "Check of all domains",
    "blocklist-check": "Look at the blocklists",
    "statistics-rebuild": "Statistics counted anew",
    "webhook-replay": "Replay of a webhook",
}


@get("/jobs", opt={RIGHT: Right.JOBS_READ})
async def jobs(
    rooms: Behind, visit: WhoVisits, show: FromQuery[str] = "", cursor: Cursor = ""
) -> Response[bytes]:
    """The list, newest first; what has ended is kept for 30 days."""
    found = await rooms.jobs.list(
        visit.scope, open_only=show == "open", before=place_of(cursor), limit=PAGE + 1
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    return await visit.page(
        "jobs.html", rows=rows, after=after, cursor=cursor, show=show, kinds=KINDS, states=STATES
    )


@get("/jobs/{job_id:int}", opt={RIGHT: Right.JOBS_READ})
async def job(job_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One, with its progress."""
    found = await rooms.jobs.get(visit.scope, job_id)
    return await visit.page(
        "job.html",
        job=found,
        kinds=KINDS,
        states=STATES,
        result=_words(found),
        has_file=_has_file(visit, found),
    )


def _words(found: Job) -> list[tuple[str, str]]:
    """What a job was asked and what came of it, as pairs of words."""
    said = {**found.asked, **found.result}
    return [
        (_word(name), _value(value))
        for name, value in said.items()
        if value not in ("", 0, None, {}, [])
    ]


def _word(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return "\n".join(map(str, value[:50]))
        case dict():
            return ", ".join(
                f"{_word(str(key))}: {_value(one)}" for key, one in value.items() if one
            )
        case _:
            return str(value)


def _has_file(visit: Visit, found: Job) -> bool:
    if found.kind != _EXPORT or not visit.may(NEEDED[str(found.asked["what"])]):
        return False
    try:
        visit.rooms.exports.file(found)
    except NotFoundError:
        return False
    return True


@get("/jobs/{job_id:int}/file", opt={RIGHT: Right.JOBS_READ})
async def job_file(job_id: Id, rooms: Behind, visit: WhoVisits) -> File:
    """What an export wrote."""
    found = await rooms.jobs.get(visit.scope, job_id)
    path = rooms.exports.file(found)
    visit.actor.require(NEEDED[str(found.asked["what"])])
    return File(
        path=path,
        filename=f"{found.asked['what']}-{found.id}.csv",
        media_type="text/csv; charset=utf-8",
        content_disposition_type="attachment",
    )


@post("/jobs/{job_id:int}/cancel", opt={RIGHT: Right.JOBS_CANCEL})
async def cancel_job(job_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """It ends where it stands."""
    found = await rooms.jobs.cancel(visit.scope, job_id)
    return visit.to(f"/jobs/{found.id}", "Cancelled", "What it has done stays done.")


@post("/exports", opt={RIGHT: Right.JOBS_READ})
async def export(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Have a list written out, with the filters of the page that asks."""
    form = visit.form
    what = form.one_of("what", [one for one in NEEDED if one != "queue"])  # has a form of its own
    visit.actor.require(NEEDED[what])
    filters: dict[str, Any] = {
        name: form.text(name, most=255) for name in ("address", "domain", "sender", "tag")
    }
    filters |= {
        "status": form.text("status", most=30) or None,
        "since": form.whole("since", most=1 << 50),
        "until": form.whole("until", most=1 << 50),
    }
    ordered = await rooms.exports.order(visit.scope, visit.scope.tenant_id or BOX, what, filters)
    return visit.to(f"/jobs/{ordered.id}", "The export has begun", "It goes on when you leave.")


HANDLERS: Final[list[Any]] = [jobs, job, job_file, cancel_job, export]
