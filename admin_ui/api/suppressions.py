"""Suppressions: who must not be written to, by one tenant or by the whole box.

For the box's keys `?tenant=name` is one tenant's list; without it what they add is for the whole box.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.jobs import IMPORT_JOB, JobShape, job_shape
from admin_ui.api.nouns import PLAIN, Id, Whose, cut, in_field, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, millis, moment, place_of
from admin_ui.rooms import Behind
from appliance.core.scope import BOX
from appliance.rights import Right
from appliance.suppressions import Entry, Reason

_IMPORTS: Final = Rate(5 / 60, 5)
_MAX_IMPORT: Final = 20_000_000  # characters: some 800,000 addresses
_ENTRY: Final = {
    "id": 41,
    "tenant_id": 3,
    "target": "ada@example.net",
    "reason": "manual",
    "event_id": "",
    "created_at": "2026-11-20T10:00:00Z",
    "expires_at": None,
}
_Target = Annotated[
    str, Meta(min_length=1, max_length=320, description="An address, or a whole domain.")
]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """An address or domain that is not written to."""

    id: int
    tenant_id: Annotated[int, Meta(description="Whose list; 0: the whole box's.")]
    target: str
    reason: Reason
    event_id: Annotated[str, Meta(description="The event that caused it; empty: a person did.")]
    created_at: datetime | None
    expires_at: datetime | None


class SuppressionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Suppressions, oldest first; `cursor` leads on, "" at the end."""

    items: list[Suppression]
    cursor: str


class NewSuppression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is not to be written to."""

    target: _Target
    reason: Reason = Reason.MANUAL
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an address is written to, and what keeps it from that."""

    address: str
    suppressed: bool
    by: list[Suppression]


class Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list to import."""

    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=_MAX_IMPORT,
            description="A line each: an address or domain, or CSV with target,reason,expires.",
        ),
    ]


@get(
    "/suppressions",
    opt={
        RIGHT: Right.SUPPRESSIONS_READ,
        EXAMPLE: Example({"items": [_ENTRY], "cursor": ""}),
    },
    tags=["suppressions"],
    summary="List the suppressions",
)
async def list_suppressions(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    tenant: Whose = "",
    prefix: Annotated[
        str, QueryParameter(max_length=320, pattern=PLAIN, description="How the target begins.")
    ] = "",
    reason: FromQuery[Reason | None] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> SuppressionPage:
    """What stands now."""
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.suppressions.list(
        scope, after=place_of(cursor), limit=limit + 1, prefix=prefix, reason=reason
    )
    items, last = cut(found, limit, lambda one: one.id)
    return SuppressionPage(items=[_shown(one) for one in items], cursor=last)


@get(
    "/suppressions/look-up",
    opt={
        RIGHT: Right.SUPPRESSIONS_READ,
        EXAMPLE: Example({"address": "ada@example.net", "suppressed": True, "by": [_ENTRY]}),
    },
    tags=["suppressions"],
    summary="Look an address up",
)
async def look_up(
    rooms: Behind,
    asker: WhoAsks,
    address: Annotated[str, QueryParameter(min_length=1, max_length=320, pattern=PLAIN)],
    tenant: Whose = "",
) -> Answer:
    """Whether it is suppressed, itself or by its domain. The whole box's list is the admin's to see."""
    scope = await view_of(rooms, asker, tenant)
    with in_field("address"):
        found = await rooms.suppressions.of(scope, address)
    by = [_shown(one) for one in found[:100]]
    return Answer(address=address, suppressed=bool(by), by=by)


@get(
    "/suppressions/{suppression_id:int}",
    opt={RIGHT: Right.SUPPRESSIONS_READ, EXAMPLE: Example(_ENTRY)},
    tags=["suppressions"],
    summary="Show a suppression",
)
async def show_suppression(suppression_id: Id, rooms: Behind, asker: WhoAsks) -> Suppression:
    """One that stands."""
    return _shown(await rooms.suppressions.get(asker.actor.scope, suppression_id))


@post(
    "/suppressions",
    opt={
        RIGHT: Right.SUPPRESSIONS_MANAGE,
        EXAMPLE: Example(_ENTRY, {"target": "ada@example.net"}),
    },
    tags=["suppressions"],
    summary="Suppress an address or domain",
)
async def add_suppression(
    data: JSONBody[NewSuppression], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> Suppression:
    """Adding one again replaces its reason and its end."""
    scope = await view_of(rooms, asker, tenant)
    expires_at = millis(data.expires_at)
    with in_field("target"):
        return _shown(
            await rooms.suppressions.add(
                scope, data.target, reason=data.reason, expires_at=expires_at
            )
        )


@delete(
    "/suppressions/{suppression_id:int}",
    status_code=200,
    opt={RIGHT: Right.SUPPRESSIONS_MANAGE, EXAMPLE: Example(_ENTRY)},
    tags=["suppressions"],
    summary="Remove a suppression",
)
async def remove_suppression(suppression_id: Id, rooms: Behind, asker: WhoAsks) -> Suppression:
    """The address may be written to again, within a second."""
    scope = asker.actor.scope
    found = await rooms.suppressions.get(scope, suppression_id)
    return _shown(await rooms.suppressions.remove(scope, found.target, tenant_id=found.tenant_id))


@post(
    "/suppressions/import",
    status_code=202,
    opt={
        RIGHT: Right.SUPPRESSIONS_MANAGE,
        RATE: _IMPORTS,
        EXAMPLE: Example(IMPORT_JOB, {"text": "ada@example.net\nexample.org,complaint\n"}),
    },
    tags=["suppressions"],
    summary="Import suppressions",
)
async def import_suppressions(
    data: JSONBody[Import], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> JobShape:
    """As a job: GET /jobs/{id} shows how far it is, and at the end the lines that were left out."""
    scope = await view_of(rooms, asker, tenant)
    owner = BOX if scope.tenant_id is None else scope.tenant_id
    return job_shape(await rooms.imports.suppressions(scope, owner, data.text))


def _shown(one: Entry) -> Suppression:
    return Suppression(
        id=one.id,
        tenant_id=one.tenant_id,
        target=one.target,
        reason=one.reason,
        event_id=one.event_id,
        created_at=moment(one.created_at),
        expires_at=moment(one.expires_at),
    )


HANDLERS: Final[list[Any]] = [
    list_suppressions,
    look_up,
    show_suppression,
    add_suppression,
    remove_suppression,
    import_suppressions,
]
