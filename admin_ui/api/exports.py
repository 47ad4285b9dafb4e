"""Exports: messages, the queue, suppressions or the audit log as a CSV file; and a look at all domains. Both are jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from litestar.response import File
from msgspec import Meta

from admin_ui.api.guard import RIGHT, Asker, WhoAsks
from admin_ui.api.jobs import IMPORT_JOB, JobShape, job_shape
from admin_ui.api.nouns import Count, Id, Ident, Short, Whose, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Example, millis
from admin_ui.rooms import Behind
from appliance.core.scope import BOX
from appliance.rights import Right
from mta.status import Status, TrafficClass

NEEDED: Final = {
    "messages": Right.MESSAGES_READ,
    "queue": Right.QUEUE_READ,
    "suppressions": Right.SUPPRESSIONS_READ,
    "audit": Right.AUDIT_READ,
}
_JOB: Final = IMPORT_JOB | {"kind": "export", "asked": {"what": "messages", "filters": {}}}


class NewExport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to write out; the filters are for messages and, as far as it has them, for the queue."""

    what: Literal["messages", "queue", "suppressions", "audit"]
    address: Short = ""
    domain: Short = ""
    sender: Short = ""
    tag: Short = ""
    credential_id: Ident | None = None
    sender_domain: Short = ""
    traffic_class: Annotated[TrafficClass | None, Meta(description="Of messages.")] = None
    subject: Annotated[Short, Meta(description="Words, of messages.")] = ""
    egress: Annotated[Short, Meta(description="Of the queue; for keys of the box.")] = ""
    attempts: Annotated[Count, Meta(description="Of the queue: at least so many.")] = 0
    status: Status | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None

    def filters(self) -> dict[str, Any]:
        """As the job keeps them."""
        return self._of_queue() if self.what == "queue" else self._of_messages()

    def _of_queue(self) -> dict[str, Any]:
        wanted = {
            "address": self.address,
            "domain": self.domain.lower(),
            "sender_domain": self.sender_domain,
            "tag": self.tag,
            "credential_id": self.credential_id,
            "egress": self.egress,
            "attempts": self.attempts,
            "status": self.status,
            "before": millis(self.until),
        }
        return {name: value for name, value in wanted.items() if value}

    def _of_messages(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "domain": self.domain,
            "sender_domain": self.sender_domain,
            "credential": self.credential_id or 0,
            "traffic_class": self.traffic_class or "",
            "subject": self.subject,
            "sender": self.sender,
            "tag": self.tag,
            "status": self.status,
            "since": millis(self.since),
            "until": millis(self.until),
        }


@post(
    "/exports",
    status_code=202,
    opt={
        RIGHT: Right.JOBS_READ,
        EXAMPLE: Example(_JOB, {"what": "messages", "status": "bounced"}),
    },
    tags=["jobs"],
    summary="Have something written out",
)
async def create_export(
    data: JSONBody[NewExport], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> JobShape:
    """A job writes it; when that is done, `/exports/{id}/file` gives the file, for a week."""
    asker.actor.require(NEEDED[data.what])
    scope = await view_of(rooms, asker, tenant)
    job = await rooms.exports.order(scope, scope.tenant_id or BOX, data.what, data.filters())
    return job_shape(job)


@get(
    "/exports/{job_id:int}/file",
    opt={RIGHT: Right.JOBS_READ, EXAMPLE: Example("message,recipient,accepted_at,status")},
    tags=["jobs"],
    media_type="text/csv",
    summary="Fetch what was written out",
)
async def export_file(job_id: Id, rooms: Behind, asker: WhoAsks) -> File:
    """CSV with a line of names; 404 before the job is done."""
    job = await rooms.jobs.get(asker.actor.scope, job_id)
    path = rooms.exports.file(job)
    _require(asker, str(job.asked["what"]))
    return File(
        path=path,
        filename=f"{job.asked['what']}-{job.id}.csv",
        media_type="text/csv; charset=utf-8",
        content_disposition_type="attachment",
    )


@post(
    "/domains/check",
    status_code=202,
    opt={
        RIGHT: Right.DOMAINS_MANAGE,
        EXAMPLE: Example(IMPORT_JOB | {"kind": "domain-recheck", "asked": {}}),
    },
    tags=["domains"],
    summary="Look at the DNS of all domains",
)
async def recheck_domains(rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> JobShape:
    """A job looks at every domain; they are looked at once a day in any case."""
    scope = await view_of(rooms, asker, tenant)
    return job_shape(await rooms.exports.recheck(scope, scope.tenant_id or BOX))


def _require(asker: Asker, what: str) -> None:
    asker.actor.require(NEEDED[what])


HANDLERS: Final[list[Any]] = [create_export, export_file, recheck_domains]
