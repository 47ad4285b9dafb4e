"""Pauses: mail that matches waits until somebody resumes it, or until its time has come."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import (
    Id,
    Ident,
    Short,
    Whose,
    Words,
    cut,
    in_field,
    known_provider,
    view_of,
)
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, millis, moment, place_of
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import UsageError
from appliance.core.scope import BOX, Scope
from appliance.operations import Target
from appliance.rights import Right
from mta.directory import Pause

_PAUSE: Final = {
    "id": 4,
    "tenant_id": 3,
    "domain": "example.net",
    "credential_id": 0,
    "site": "",
    "provider": "",
    "egress": "",
    "tag": "",
    "reason": "they asked us to wait",
    "by": "ada@shop.example",
    "at": "2026-11-20T10:00:00Z",
    "expires_at": "2026-11-20T12:00:00Z",
}


class PauseShape(msgspec.Struct, frozen=True, kw_only=True):
    """A pause: it stops what matches every field given."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: everybody's mail.")]
    domain: str
    credential_id: int
    site: str
    provider: str
    egress: str
    tag: str
    reason: str
    by: str
    at: datetime | None
    expires_at: datetime | None


class PausePage(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses in force, oldest first; `cursor` leads on, "" at the end."""

    items: list[PauseShape]
    cursor: str


class NewPause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to wait: mail that matches every field given."""

    reason: Words
    domain: Short = ""
    credential_id: Ident | None = None
    site: Short = ""
    provider: Short = ""
    egress: Short = ""
    tag: Short = ""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


@get(
    "/queue/pauses",
    opt={RIGHT: Right.QUEUE_READ, EXAMPLE: Example({"items": [_PAUSE], "cursor": ""})},
    tags=["queue"],
    summary="List the pauses",
)
async def list_pauses(
    rooms: Behind, asker: WhoAsks, tenant: Whose = "", cursor: Cursor = "", limit: Limit = 50
) -> PausePage:
    """Those in force."""
    scope, after = await view_of(rooms, asker, tenant), place_of(cursor)
    behind = [one for one in await rooms.operations.pauses(scope) if one.id > after]
    items, last = cut(behind, limit, lambda one: one.id)
    return PausePage(items=[_shown(one) for one in items], cursor=last)


@post(
    "/queue/pauses",
    opt={
        RIGHT: Right.QUEUE_OPERATE,
        EXAMPLE: Example(_PAUSE, {"domain": "example.net", "reason": "they asked us to wait"}),
    },
    tags=["queue"],
    summary="Pause mail",
)
async def add_pause(
    data: JSONBody[NewPause], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> PauseShape:
    """What is being sent is finished. Pausing what is paused already answers the pause that stands."""
    scope = await view_of(rooms, asker, tenant)
    target = await _target(rooms, scope, data)
    made = await rooms.operations.pause(
        scope, target, reason=data.reason, expires_at=millis(data.expires_at)
    )
    return _shown(made)


@delete(
    "/queue/pauses/{pause_id:int}",
    status_code=200,
    opt={RIGHT: Right.QUEUE_OPERATE, EXAMPLE: Example(_PAUSE)},
    tags=["queue"],
    summary="Lift a pause",
)
async def lift_pause(pause_id: Id, rooms: Behind, asker: WhoAsks) -> PauseShape:
    """Its mail goes on within a second."""
    return _shown(await rooms.operations.resume(asker.actor.scope, pause_id))


async def _target(rooms: Rooms, scope: Scope, data: NewPause) -> Target:
    """A credential, provider or egress that is not there would stop nothing, in silence."""
    if data.credential_id:
        with in_field("credential_id"):
            await rooms.credentials.get(scope, data.credential_id)
    if data.egress and scope.is_system:
        await _require_egress(rooms, scope, data.egress)
    return Target(
        tenant_id=scope.tenant_id or BOX,
        domain=data.domain,
        credential_id=data.credential_id or 0,
        site=data.site,
        provider=await known_provider(rooms, data.provider),
        egress=data.egress,
        tag=data.tag,
    )


async def _require_egress(rooms: Rooms, scope: Scope, name: str) -> None:
    known = {one.name for one in await rooms.egresses.list(scope)} or {rooms.files.default_egress}
    if name.strip() not in known:
        raise UsageError(f"no egress is named {name!r}", field="egress")


def _shown(one: Pause) -> PauseShape:
    return PauseShape(
        id=one.id,
        tenant_id=one.tenant_id,
        domain=one.domain,
        credential_id=one.credential_id,
        site=one.site,
        provider=one.provider,
        egress=one.egress,
        tag=one.tag,
        reason=one.reason,
        by=one.by,
        at=moment(one.at),
        expires_at=moment(one.expires_at),
    )


HANDLERS: Final[list[Any]] = [list_pauses, add_pause, lift_pause]
