"""Jobs: long work that somebody asked for and does not wait for, with progress, an end and a result."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import Id, Whose, cut, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind
from appliance.jobs import Job, JobState
from appliance.rights import Right

IMPORT_JOB: Final = {
    "id": 17,
    "tenant_id": 3,
    "kind": "suppression-import",
    "state": "queued",
    "asked": {},
    "done": 0,
    "total": 2,
    "result": {},
    "error": "",
    "by": "key 12 (billing)",
    "created_at": "2026-11-20T10:00:00Z",
    "started_at": None,
    "ended_at": None,
}
"""As one looks that was just asked for."""

_ENDED: Final = IMPORT_JOB | {
    "state": "done",
    "done": 2,
    "result": {"imported": 1998, "failed": 0, "errors": []},
    "started_at": "2026-11-20T10:00:01Z",
    "ended_at": "2026-11-20T10:00:02Z",
}


class JobShape(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: the box's.")]
    kind: str
    state: JobState
    asked: dict[str, Any]
    done: Annotated[int, Meta(description="Of `total`, in units of the kind.")]
    total: Annotated[int, Meta(description="0: not known.")]
    result: dict[str, Any]
    error: Annotated[str, Meta(description="Why it failed, in words.")]
    by: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first; `cursor` leads on, "" at the end."""

    items: list[JobShape]
    cursor: str


@get(
    "/jobs",
    opt={RIGHT: Right.JOBS_READ, EXAMPLE: Example({"items": [_ENDED], "cursor": ""})},
    tags=["jobs"],
    summary="List the jobs",
)
async def list_jobs(
    *,
    rooms: Behind,
    asker: WhoAsks,
    tenant: Whose = "",
    open_only: Annotated[
        bool, QueryParameter(name="open", description="Only those that have not ended.")
    ] = False,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> JobPage:
    """What was asked for; what has ended is kept for 30 days."""
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.jobs.list(
        scope, open_only=open_only, before=place_of(cursor), limit=limit + 1
    )
    items, last = cut(found, limit, lambda one: one.id)
    return JobPage(items=[job_shape(one) for one in items], cursor=last)


@get(
    "/jobs/{job_id:int}",
    opt={RIGHT: Right.JOBS_READ, EXAMPLE: Example(_ENDED)},
    tags=["jobs"],
    summary="Show a job",
)
async def show_job(job_id: Id, rooms: Behind, asker: WhoAsks) -> JobShape:
    """How far it is, or what came of it."""
    return job_shape(await rooms.jobs.get(asker.actor.scope, job_id))


@post(
    "/jobs/{job_id:int}/cancel",
    status_code=200,
    opt={
        RIGHT: Right.JOBS_CANCEL,
        EXAMPLE: Example(IMPORT_JOB | {"state": "cancelled", "ended_at": "2026-11-20T10:00:02Z"}),
    },
    tags=["jobs"],
    summary="Cancel a job",
)
async def cancel_job(job_id: Id, rooms: Behind, asker: WhoAsks) -> JobShape:
    """It ends where it stands: what it has done stays done. 409 when it has ended already."""
    return job_shape(await rooms.jobs.cancel(asker.actor.scope, job_id))


def job_shape(one: Job) -> JobShape:
    """A job as the API tells it."""
    return JobShape(
        id=one.id,
        tenant_id=one.tenant_id,
        kind=one.kind,
        state=one.state,
        asked=dict(one.asked),
        done=one.done,
        total=one.total,
        result=dict(one.result),
        error=one.error,
        by=one.by,
        created_at=moment(one.created_at),
        started_at=moment(one.started_at),
        ended_at=moment(one.ended_at),
    )


HANDLERS: Final[list[Any]] = [list_jobs, show_job, cancel_job]
