"""The queue: what waits, why and until when. People's hands on it: queue_actions.py; how fast: traffic.py.

Whoever is no admin sees the own mail alone: the desk writes the tenant into every filter
(appliance/run/web_queue.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get
from litestar.params import FromQuery, PathParameter, QueryParameter
from msgspec import Meta

from admin_ui.api import traffic
from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.messages import ms_of
from admin_ui.api.nouns import MAX_ID, PLAIN, Whose, in_field, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, moment
from admin_ui.desks import Place, Row
from admin_ui.rooms import Behind
from appliance.core import ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.domains.rules import checked_name
from appliance.rights import Right
from mta.scheduling.census import By
from mta.scheduling.why import SENTENCES, TITLES, Why

_COUNTING: Final = Rate(1, 20)
"""Counting a million recipients takes seconds."""

_LOOKING: Final = Rate(5, 50)
"""Finding a few among them may, too."""

_START: Final = (-1, -1)
_ID: Final = "05p3k8r2m0001"
_GROUP: Final = {
    "name": "example.net",
    "provider": "other",
    "state": "deferred",
    "recipients": 120,
    "oldest": "2026-11-20T09:00:00Z",
    "next": "2026-11-20T10:05:00Z",
    "until": None,
    "due_soon": 120,
    "kind": "slowed",
    "reason": "451 4.7.500 Server busy, try again later",
    "words": "451 4.7.500 Server busy, try again later",
    "egress": "out-1",
}
_REASON: Final = {
    "kind": "slowed",
    "title": TITLES[Why.SLOWED],
    "sentence": SENTENCES[Why.SLOWED],
    "recipients": 120,
    "destinations": 1,
    "example": "example.net",
    "most": 120,
}
_RECIPIENT: Final = {
    "id": _ID,
    "n": 0,
    "tenant_id": 3,
    "class": "transactional",
    "address": "ada@example.net",
    "domain": "example.net",
    "state": "deferred",
    "kind": "slowed",
    "reason": "451 4.7.500 Server busy, try again later",
    "next": "2026-11-20T10:05:00Z",
    "expires": "2026-11-22T09:00:00Z",
    "attempts": 2,
    "host": "mx1.example.net",
    "egress": "out-1",
    "pool": "",
}
_MESSAGE: Final = {
    "id": _ID,
    "tenant_id": 3,
    "credential_id": 5,
    "class": "transactional",
    "sender": "orders@shop.example",
    "from": "orders@shop.example",
    "message_id": "<1234@shop.example>",
    "subject": "Your order 1234",
    "size": 4096,
    "accepted_at": "2026-11-20T09:00:00Z",
    "tags": ["order"],
    "recipients": [_RECIPIENT],
    "events": [{"n": 0, "kind": "deferred", "at": "2026-11-20T09:00:02Z", "data": {"attempt": 1}}],
}
_Filter = Annotated[str, QueryParameter(max_length=320, pattern=PLAIN)]
State = Literal["queued", "deferred", "held"]
Message = Annotated[
    str, PathParameter(min_length=13, max_length=13, description="A message, as `id` names it.")
]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What waits alike."""

    name: Annotated[str, Meta(description="The domain, site, provider, egress, tenant or reason.")]
    provider: str
    state: str
    recipients: int
    oldest: datetime | None
    next: Annotated[datetime | None, Meta(description="When the first is tried next.")]
    until: Annotated[
        datetime | None, Meta(description="Until when the oldest is kept back although it is due.")
    ]
    due_soon: Annotated[int, Meta(description="Recipients that are tried again within an hour.")]
    kind: Annotated[Why, Meta(description="What the oldest waits for; `reasons` has its words.")]
    reason: Annotated[str, Meta(description="Why the oldest waits, in words.")]
    words: Annotated[str, Meta(description="What was said at its last attempt, if there was one.")]
    egress: Annotated[str, Meta(description="The address of that attempt, by name.")]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Destinations whose oldest recipient waits for one kind of thing."""

    kind: Why
    title: Annotated[str, Meta(description="The kind in one to four words.")]
    sentence: Annotated[str, Meta(description="The kind in a sentence.")]
    recipients: int
    destinations: Annotated[int, Meta(description="At least so many, where there are thousands.")]
    example: Annotated[str, Meta(description="The fullest of the destinations.")]
    most: Annotated[int, Meta(description="Recipients that wait there.")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, counted; `groups` are the fullest.

    A destination counts whole for what its oldest recipient waits for: to tell it of each, a million
    would have to be read.
    """

    by: By
    at: Annotated[datetime | None, Meta(description="When it was counted.")]
    recipients: Annotated[dict[str, int], Meta(description="By state.")]
    oldest: datetime | None
    oldest_waiting: Annotated[datetime | None, Meta(description="The oldest that is not held.")]
    total: Annotated[int, Meta(description="Groups that there are.")]
    due_soon: Annotated[int, Meta(description="Recipients that are tried again within an hour.")]
    groups: list[Group]
    reasons: Annotated[
        list[Reason], Meta(description="What is waited for, by domain and by reason alone.")
    ]


class QueuedRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient that waits, why, and until when."""

    id: Annotated[str, Meta(description="Of the message.")]
    n: Annotated[int, Meta(description="Which recipient of the message, from 0.")]
    tenant_id: int
    traffic_class: str = msgspec.field(name="class")
    address: str
    domain: str
    state: str
    kind: Annotated[Why | None, Meta(description="What it waits for; null when it does not.")]
    reason: str
    next: datetime | None
    expires: datetime | None
    attempts: int
    host: str
    egress: str
    pool: str


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients, oldest message first; `cursor` leads on, "" at the end."""

    items: list[QueuedRecipient]
    cursor: str


class QueuedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as far as the log has not taken it over; n -1: to every recipient."""

    n: int
    kind: str
    at: datetime | None
    data: dict[str, Any]


class QueuedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the queue."""

    id: str
    tenant_id: int
    credential_id: int
    traffic_class: str = msgspec.field(name="class")
    sender: str
    header_from: str = msgspec.field(name="from")
    message_id: str
    subject: str
    size: int
    accepted_at: datetime | None
    tags: list[str]
    recipients: list[QueuedRecipient]
    events: list[QueuedEvent]


@get(
    "/queue/summary",
    opt={
        RIGHT: Right.QUEUE_READ,
        RATE: _COUNTING,
        EXAMPLE: Example(
            {
                "by": "domain",
                "at": "2026-11-20T10:00:00Z",
                "recipients": {"deferred": 120},
                "oldest": "2026-11-20T09:00:00Z",
                "oldest_waiting": "2026-11-20T09:00:00Z",
                "total": 1,
                "due_soon": 120,
                "groups": [_GROUP],
                "reasons": [_REASON],
            }
        ),
    },
    tags=["queue"],
    summary="Count what waits",
)
async def summary(
    rooms: Behind,
    asker: WhoAsks,
    by: FromQuery[By] = By.DOMAIN,
    tenant: Whose = "",
    kind: Annotated[
        Why | None, QueryParameter(description="Only groups whose oldest waits for this.")
    ] = None,
    limit: Limit = 50,
) -> Summary:
    """By destination, by reason or by whom, each with why its oldest waits.

    By egress: of the whole box alone.
    """
    scope = await view_of(rooms, asker, tenant)
    if by is By.EGRESS and not scope.is_system:
        raise UsageError("one tenant's mail is not counted by egress: choose another", field="by")
    return _summary(await rooms.queue.summary(scope, by, limit, kind))


@get(
    "/queue/recipients",
    opt={
        RIGHT: Right.QUEUE_READ,
        RATE: _LOOKING,
        EXAMPLE: Example({"items": [_RECIPIENT], "cursor": ""}),
    },
    tags=["queue"],
    summary="List who waits",
)
async def list_queue(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    tenant: Whose = "",
    domain: _Filter = "",
    address: _Filter = "",
    credential: Annotated[int, QueryParameter(ge=0, le=MAX_ID)] = 0,
    site: _Filter = "",
    provider: _Filter = "",
    egress: _Filter = "",
    tag: _Filter = "",
    sender_domain: Annotated[
        str, QueryParameter(max_length=255, pattern=PLAIN, description="Of the address in From.")
    ] = "",
    before: Annotated[
        datetime | None, QueryParameter(description="Accepted before this time.")
    ] = None,
    attempts: Annotated[int, QueryParameter(ge=0, le=10_000, description="At least so many.")] = 0,
    standing: Annotated[State | None, QueryParameter(name="state")] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> QueuePage:
    """Waiting and held recipients that match every filter, with the reason and the next try."""
    scope = await view_of(rooms, asker, tenant)
    wanted = {
        "domain": domain_of(domain),
        "address": address,
        "credential_id": credential,
        "site": site.lower(),
        "provider": provider.lower(),
        "egress": egress,
        "tag": tag,
        "sender_domain": sender_domain.removeprefix("@"),
        "before": ms_of(before, "before"),
        "attempts": attempts,
        "status": standing or "",
    }
    found = await rooms.queue.recipients(scope, given_of(wanted), _place_of(cursor), limit + 1)
    items = [_recipient(row) for row in found[:limit]]
    last = f"{items[-1].id}-{items[-1].n}" if len(found) > limit else ""
    return QueuePage(items=items, cursor=last)


@get(
    "/queue/messages/{message:str}",
    opt={RIGHT: Right.QUEUE_READ, EXAMPLE: Example(_MESSAGE)},
    tags=["queue"],
    summary="Show a message in the queue",
)
async def show_queued(message: Message, rooms: Behind, asker: WhoAsks) -> QueuedMessage:
    """With all its recipients; GET /messages/{id} tells what the log has."""
    return _message(await rooms.queue.show(asker.actor.scope, id_of(message)))


def given_of(wanted: dict[str, Any]) -> dict[str, Any]:
    """Without what was left open."""
    return {name: value for name, value in wanted.items() if value}


def domain_of(name: str) -> str:
    """A domain as the queue knows it."""
    with in_field("domain"):
        return checked_name(name) if name else ""


def id_of(text: str) -> int:
    """The message that a path names. Raises NotFoundError."""
    try:
        return ids.from_text(text)
    except ValueError as error:
        raise NotFoundError(str(error)) from error


def _place_of(cursor: str) -> Place:
    if not cursor:
        return _START
    text, _, n = cursor.partition("-")
    try:
        if not (n.isascii() and n.isdecimal() and len(n) < 10):
            raise ValueError(cursor)
        return ids.from_text(text), int(n)
    except ValueError as error:
        raise UsageError(
            "no such cursor: give back the one of the last page", field="cursor"
        ) from error


def _summary(found: Row) -> Summary:
    return Summary(
        by=By(found["by"]),
        at=moment(found["at"]),
        recipients=found["counts"],
        oldest=moment(found["oldest"]),
        oldest_waiting=moment(found["oldest_waiting"]),
        total=found["total"],
        due_soon=found["due_soon"],
        groups=[_group(one) for one in found["groups"]],
        reasons=[_reason(one) for one in found["reasons"]],
    )


def _group(one: Row) -> Group:
    return Group(
        name=one["name"],
        provider=one["provider"],
        state=one["status"],
        recipients=one["count"],
        oldest=moment(one["oldest"]),
        next=moment(one["next"]),
        until=moment(one["until"]),
        due_soon=one["due_soon"],
        kind=Why(one["kind"]),
        reason=one["reason"],
        words=one["words"],
        egress=one["egress"],
    )


def _reason(one: Row) -> Reason:
    kind = Why(one["kind"])
    return Reason(
        kind=kind,
        title=TITLES[kind],
        sentence=SENTENCES[kind],
        recipients=one["recipients"],
        destinations=one["destinations"],
        example=one["example"],
        most=one["most"],
    )


def _recipient(row: Row) -> QueuedRecipient:
    return QueuedRecipient(
        id=row["id"],
        n=row["n"],
        tenant_id=row["tenant_id"],
        traffic_class=row["class"],
        address=row["address"],
        domain=row["domain"],
        state=row["status"],
        kind=Why(row["kind"]) if row["kind"] else None,
        reason=row["reason"],
        next=moment(row["next"]),
        expires=moment(row["expires"]),
        attempts=row["attempts"],
        host=row["host"],
        egress=row["egress"],
        pool=row["pool"],
    )


def _message(shown: Row) -> QueuedMessage:
    one = shown["message"]
    return QueuedMessage(
        id=one["id"],
        tenant_id=one["tenant_id"],
        credential_id=one["credential_id"],
        traffic_class=one["class"],
        sender=one["sender"],
        header_from=one["from"],
        message_id=one["message_id"],
        subject=one["subject"],
        size=one["size"],
        accepted_at=moment(one["accepted_at"]),
        tags=list(one["tags"]),
        recipients=[_recipient(row) for row in shown["recipients"]],
        events=[
            QueuedEvent(n=n, kind=kind, at=moment(at), data=data)
            for _, n, kind, at, data in shown["events"]
        ],
    )


HANDLERS: Final[list[Any]] = [summary, list_queue, show_queued, *traffic.HANDLERS]
