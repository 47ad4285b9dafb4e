"""Audit log: who did what, on which record, when, from where; a tenant's own, or all of the box."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.params import QueryParameter

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import PLAIN, cut
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.form import Form
from admin_ui.console.visit import NO_PROBLEM, Problem, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import UsageError
from appliance.rights import Right
from appliance.tenancy import AuditFilter

PAGE: Final = 50
Text = Annotated[str, QueryParameter(max_length=255, pattern=PLAIN)]


@get("/audit", opt={RIGHT: Right.AUDIT_READ})
async def audit(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    visit: WhoVisits,
    by: Text = "",
    action: Text = "",
    record: Text = "",
    address: Text = "",
    since: Text = "",
    until: Text = "",
    cursor: Cursor = "",
) -> Response[bytes]:
    """Newest first."""
    asked = {
        "by": by.strip(),
        "action": action.strip(),
        "record": record.strip(),
        "address": address.strip(),
    }
    wanted = AuditFilter(
        by=by.strip(), action=action.strip(), record=record.strip(), address=address.strip()
    )
    times, zone, problem = Form({"since": [since], "until": [until]}), visit.stage.zone, NO_PROBLEM
    try:
        wanted = replace(
            wanted, since=times.moment("since", zone), until=times.moment("until", zone)
        )
    except UsageError as error:
        problem = Problem.of(error)
    found = await rooms.audit.list(visit.scope, wanted, before=place_of(cursor), limit=PAGE + 1)
    rows, after = cut(found, PAGE, lambda one: one.id)
    return await visit.page(
        "audit.html",
        problem=problem,
        rows=rows,
        after=after,
        cursor=cursor,
        asked=asked | {"since": since, "until": until},
    )


HANDLERS: Final[list[Any]] = [audit]
