"""POST /api/v1/messages/{id}/resend: a message once more, to those whom it did not reach."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.messages import id_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.send import Accepted, answer_of, handed_by, once
from admin_ui.api.shapes import Example
from admin_ui.rooms import Behind
from appliance.rights import Right
from appliance.sending import Handed

_Address = Annotated[str, Meta(min_length=1, max_length=320)]


class Again(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to get it."""

    recipients: Annotated[
        tuple[_Address, ...],
        Meta(
            max_length=1000,
            description="Of those whom it was for; empty: all for whom it bounced or expired.",
        ),
    ] = ()


@post(
    "/messages/{message:str}/resend",
    status_code=202,
    opt={
        RIGHT: Right.MESSAGES_SEND,
        EXAMPLE: Example(
            {"id": "1k3fq9x2mz0b", "recipients": 1}, {"recipients": ["ada@example.net"]}
        ),
    },
    tags=["send"],
    summary="Send a message again",
)
async def resend(
    message: FromPath[str],
    data: JSONBody[Again],
    request: Request[Any, Any, Any],
    rooms: Behind,
    asker: WhoAsks,
) -> Response[Accepted]:
    """The same bytes as a new message, with an id of its own, while the box keeps them (spool.keep_content).

    It is admitted as any other: quota, suppressions and pauses hold. 409: its bytes are kept no more.
    """
    scope = asker.actor.scope
    kept = await rooms.resending.find(scope, id_of(message))

    async def work(handed: Handed, key: str) -> tuple[int, bytes, bool]:
        return answer_of(await rooms.resending.send(scope, handed, kept, data.recipients, key=key))

    return await once(request, rooms, await handed_by(rooms, asker, kept.tenant_id), work)


HANDLERS: Final[list[Any]] = [resend]
