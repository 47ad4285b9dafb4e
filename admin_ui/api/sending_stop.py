"""The kill switch: stops all sending of the box at once, and lets it go again. Mail is accepted and waits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import PLAIN
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Example, moment
from admin_ui.api.tenants import Why
from admin_ui.rooms import Behind
from appliance.operations import KillStatus
from appliance.rights import Right

_GOES: Final = {"stopped": False, "by": "", "at": None, "reason": ""}
_STOPPED: Final = {
    "stopped": True,
    "by": "ann@example.org",
    "at": "2026-11-20T10:00:00Z",
    "reason": "our addresses are being listed",
}


class SendingStop(msgspec.Struct, frozen=True, kw_only=True):
    """How the switch stands, and who moved it last, when and why."""

    stopped: bool
    by: str
    at: datetime | None
    reason: str


class MaybeWhy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit log."""

    reason: Annotated[str, Meta(max_length=500, pattern=PLAIN)] = ""


@get(
    "/sending-stop",
    opt={RIGHT: Right.QUEUE_READ, EXAMPLE: Example(_GOES)},
    tags=["sending stop"],
    summary="Tell whether all sending is stopped",
)
async def show_stop(rooms: Behind) -> SendingStop:
    """Everybody may know why nothing leaves."""
    return _shown(await rooms.operations.kill_status())


@post(
    "/sending-stop",
    status_code=200,
    opt={
        RIGHT: Right.SENDING_STOP,
        EXAMPLE: Example(_STOPPED, {"reason": "our addresses are being listed"}),
    },
    tags=["sending stop"],
    summary="Stop all sending",
)
async def stop_sending(data: JSONBody[Why], rooms: Behind, asker: WhoAsks) -> SendingStop:
    """No new transaction begins anywhere, within a second. Stopping what is stopped changes nothing."""
    return _shown(await rooms.operations.kill(asker.actor.scope, reason=data.reason))


@post(
    "/sending-stop/resume",
    status_code=200,
    opt={RIGHT: Right.SENDING_STOP, EXAMPLE: Example(_GOES, {"reason": "delisted"})},
    tags=["sending stop"],
    summary="Send again",
)
async def resume_sending(data: JSONBody[MaybeWhy], rooms: Behind, asker: WhoAsks) -> SendingStop:
    """What has waited leaves, as fast as warmup and receivers allow."""
    return _shown(await rooms.operations.revive(asker.actor.scope, reason=data.reason))


def _shown(one: KillStatus) -> SendingStop:
    return SendingStop(stopped=one.is_on, by=one.by, at=moment(one.at), reason=one.reason)


HANDLERS: Final[list[Any]] = [show_stop, stop_sending, resume_sending]
