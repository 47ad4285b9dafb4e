"""Notifications: what somebody should know and do something about; what they want to hear of, and how."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, Asker, WhoAsks
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Example, moment
from admin_ui.rooms import Behind
from appliance.core.errors import ForbiddenError
from appliance.notifications import Choice, Entry
from appliance.rights import ActorKind, Right

_NOTICE: Final = {
    "id": 7,
    "tenant_id": 3,
    "kind": "domain-record",
    "subject": "shop.example dkim",
    "severity": "warning",
    "text": "the DKIM record of shop.example was right and is missing now",
    "next_step": "publish it again, then check the domain",
    "raised_at": "2026-11-20T10:00:00Z",
    "last_at": "2026-11-20T11:00:00Z",
    "resolved_at": None,
    "is_new": True,
}
_CHOICE: Final = {
    "kind": "domain-record",
    "title": "A DNS record of a sending domain broke",
    "in_feed": True,
    "by_mail": True,
}


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notice in the feed."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: of the box.")]
    kind: str
    subject: str
    severity: str
    text: str
    next_step: str
    raised_at: datetime | None
    last_at: datetime | None
    resolved_at: Annotated[datetime | None, Meta(description="null: it stands.")]
    is_new: Annotated[bool, Meta(description="Raised since you looked last.")]


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """The feed, worst and newest first."""

    items: list[Notification]
    unseen: int


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What you want to hear of."""

    items: list[Choice]


class NewChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How you want to hear of one kind."""

    in_feed: bool
    by_mail: bool


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to which notice you have seen them."""

    upto: Annotated[int, Meta(ge=0, le=2**62)]


@get(
    "/notifications",
    opt={
        RIGHT: Right.NOTIFICATIONS_READ,
        EXAMPLE: Example({"items": [_NOTICE], "unseen": 1}),
    },
    tags=["notifications"],
    summary="What needs attention",
)
async def list_notifications(
    rooms: Behind,
    asker: WhoAsks,
    *,
    over: Annotated[bool, QueryParameter(description="What is over, too.")] = False,
) -> Notifications:
    """Notices that stand, without those you do not want to see."""
    feed = await rooms.notifications.feed(
        asker.actor.scope, _person_or_none(asker), open_only=not over
    )
    return Notifications(items=[_shown(entry) for entry in feed.entries], unseen=feed.unseen)


@post(
    "/notifications/seen",
    status_code=204,
    opt={RIGHT: Right.NOTIFICATIONS_READ, EXAMPLE: Example(None, {"upto": 7})},
    tags=["notifications"],
    summary="Say that you have seen them",
)
async def look(data: JSONBody[Look], rooms: Behind, asker: WhoAsks) -> None:
    """Up to this notice nothing is new to you; for people, not for keys."""
    await rooms.notifications.look(asker.actor.scope, _person(asker), data.upto)


@get(
    "/notifications/choices",
    opt={RIGHT: Right.NOTIFICATIONS_READ, EXAMPLE: Example({"items": [_CHOICE]})},
    tags=["notifications"],
    summary="What you want to hear of",
)
async def list_choices(rooms: Behind, asker: WhoAsks) -> Choices:
    """Every kind there is, with what you chose or what is usual."""
    found = await rooms.notifications.choices(asker.actor.scope, _person_or_none(asker))
    return Choices(items=list(found))


@put(
    "/notifications/choices/{kind:str}",
    opt={
        RIGHT: Right.NOTIFICATIONS_READ,
        EXAMPLE: Example(_CHOICE, {"in_feed": True, "by_mail": True}),
    },
    tags=["notifications"],
    summary="Choose how you hear of a kind",
)
async def choose(
    kind: FromPath[str], data: JSONBody[NewChoice], rooms: Behind, asker: WhoAsks
) -> Choice:
    """For people, not for keys."""
    return await rooms.notifications.choose(
        asker.actor.scope, _person(asker), kind, in_feed=data.in_feed, by_mail=data.by_mail
    )


def _person(asker: Asker) -> int:
    if asker.actor.kind is not ActorKind.PERSON:
        raise ForbiddenError("a key reads no notifications: sign in as somebody")
    return asker.actor.id


def _person_or_none(asker: Asker) -> int:
    return asker.actor.id if asker.actor.kind is ActorKind.PERSON else 0


def _shown(entry: Entry) -> Notification:
    one = entry.notice
    return Notification(
        id=one.id,
        tenant_id=one.tenant_id,
        kind=one.kind,
        subject=one.subject,
        severity=one.severity,
        text=one.text,
        next_step=one.next_step,
        raised_at=moment(one.raised_at),
        last_at=moment(one.last_at),
        resolved_at=moment(one.resolved_at),
        is_new=entry.is_new,
    )


HANDLERS: Final[list[Any]] = [list_notifications, look, list_choices, choose]
