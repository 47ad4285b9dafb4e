"""Messages: search them, and the story of one, from the event log.

A row of the list is a recipient: what became of a message differs between them. The log is a second or
so behind; it is read in threads, never the queue.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get
from litestar.openapi.spec import Example as OpenAPIExample
from litestar.params import FromPath, FromQuery, QueryParameter

from admin_ui.api.guard import RIGHT, Asker, WhoAsks
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock, ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.history import EventRecord, Filters, Flag, Found, MessageHistory
from appliance.rights import Right
from mta.status import Status, TrafficClass

Word = Annotated[str, QueryParameter(max_length=500)]
Address = Annotated[
    str, QueryParameter(max_length=500, description="Exact, or at least three characters and a *.")
]
Since = Annotated[datetime | None, QueryParameter(description="From this time on.")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time.")]
Whose = Annotated[
    str, QueryParameter(max_length=63, description="Of this tenant; for keys of the box.")
]
Credential = Annotated[int, QueryParameter(ge=0, le=(1 << 63) - 1, description="By its id.")]
Class = Annotated[
    TrafficClass | None, QueryParameter(name="class", description="What kind of mail it is.")
]
SenderDomain = Annotated[
    str,
    QueryParameter(
        max_length=255,
        description="Of the address in From.",
        examples=[OpenAPIExample(value="shop.example")],
    ),
]
Subject = Annotated[
    str,
    QueryParameter(
        max_length=500,
        description="One to five words, all of which are in the subject.",
        examples=[OpenAPIExample(value="your order")],
    ),
]
FlagName = Literal["bounced_late", "delayed_late", "complained", "unsubscribed"]

_ROW: Final = {
    "id": "1k3fq9x2mz0a",
    "n": 0,
    "tenant_id": 3,
    "recipient": "ada@example.net",
    "domain": "example.net",
    "sender": "b-1k3fq9x2mz0a@bounce.shop.example",
    "from": "orders@shop.example",
    "message_id": "<1234@shop.example>",
    "subject": "Your order 1234",
    "tags": ["order"],
    "class": "transactional",
    "size": 4096,
    "accepted_at": "2026-11-20T10:00:00Z",
    "status": "delivered",
    "status_at": "2026-11-20T10:00:02Z",
    "attempts": 1,
    "reply": "250 2.0.0 OK",
    "host": "mx1.example.net",
    "egress": "out-1",
    "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
    "category": "",
    "flags": [],
}
EVENT: Final = {
    "id": "1k3fq9x2mz0a.0.4711",
    "message": "1k3fq9x2mz0a",
    "n": 0,
    "tenant_id": 3,
    "kind": "delivered",
    "at": "2026-11-20T10:00:02Z",
    "data": {
        "to": "ada@example.net",
        "reply": "250 2.0.0 OK",
        "phase": "dot",
        "attempt": 1,
        "provider": "",
        "host": "mx1.example.net",
        "egress": "out-1",
    },
}


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one recipient, as it stands."""

    id: str
    n: Annotated[int, msgspec.Meta(description="Which recipient of the message, from 0.")]
    tenant_id: int
    recipient: str
    domain: str
    sender: str
    header_from: str = msgspec.field(name="from")
    message_id: str
    subject: str
    tags: list[str]
    traffic_class: str = msgspec.field(name="class")
    size: int
    accepted_at: datetime | None
    status: Status
    status_at: datetime | None
    attempts: int
    reply: Annotated[str, msgspec.Meta(description="The receiver's last words, or why.")]
    host: str
    egress: str
    tls: str
    category: str
    flags: Annotated[list[str], msgspec.Meta(description="What came later.")]


class RecipientPage(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients, newest message first; `cursor` leads on, "" at the end."""

    items: list[Recipient]
    cursor: str
    looked: Annotated[
        int,
        msgspec.Meta(
            description="Not 0: a filter without an index looked at so many recipients for this page and"
            " stopped, perhaps with few items or none; `cursor` goes on behind them."
        ),
    ] = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; n -1: to every recipient."""

    id: str
    message: str
    n: int
    tenant_id: int
    kind: str
    at: datetime | None
    data: dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message with everybody it goes to and all that happened, in order."""

    id: str
    source: str
    client: str
    signing_domain: str
    selectors: list[str]
    metadata: str
    recipients: list[Recipient]
    events: list[Event]
    is_cut: Annotated[bool, msgspec.Meta(description="There is more than is shown.")]


@get(
    "/messages",
    opt={
        RIGHT: Right.MESSAGES_READ,
        EXAMPLE: Example({"items": [_ROW], "cursor": "", "looked": 0}),
    },
    tags=["messages"],
    summary="Search messages",
)
async def list_messages(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    recipient: Address = "",
    domain: Word = "",
    message_id: Word = "",
    sender: Word = "",
    tag: Word = "",
    credential: Credential = 0,
    traffic_class: Class = None,
    sender_domain: SenderDomain = "",
    subject: Subject = "",
    status: FromQuery[Status | None] = None,
    flag: FromQuery[list[FlagName] | None] = None,
    since: Since = None,
    until: Until = None,
    tenant: Whose = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> RecipientPage:
    """Recipients to whom all of the filters apply, newest first.

    `credential`, `class`, `sender_domain` and `subject` have no index: see `looked`.
    """
    filters = Filters(
        address=recipient,
        domain=domain,
        message=message_id,
        sender=sender,
        tag=tag,
        credential=credential,
        traffic_class=traffic_class or "",
        sender_domain=sender_domain,
        subject=subject,
        status=status,
        flags=_flags(flag or []),
        since=ms_of(since),
        until=ms_of(until, "until"),
    )
    search = partial(rooms.log.search, await scope_of(rooms, asker, tenant), filters)
    page = await asyncio.to_thread(search, cursor=cursor, limit=limit)
    found = [_recipient(row) for row in page.rows]
    return RecipientPage(items=found, cursor=page.cursor, looked=page.looked)


@get(
    "/messages/{message:str}",
    opt={
        RIGHT: Right.MESSAGES_READ,
        EXAMPLE: Example(
            {
                "id": "1k3fq9x2mz0a",
                "source": "http",
                "client": "192.0.2.9",
                "signing_domain": "shop.example",
                "selectors": ["s1"],
                "metadata": "",
                "recipients": [_ROW],
                "events": [EVENT],
                "is_cut": False,
            }
        ),
    },
    tags=["messages"],
    summary="Show a message",
)
async def show_message(message: FromPath[str], rooms: Behind, asker: WhoAsks) -> Message:
    """The message with its recipients, every attempt and every event."""
    found = await asyncio.to_thread(rooms.log.show, asker.actor.scope, id_of(message))
    return _message(found)


async def scope_of(rooms: Rooms, asker: Asker, tenant: str) -> Scope:
    """The asker's view, or of it one tenant's."""
    scope = asker.actor.scope
    if not tenant:
        return scope
    found = await rooms.tenants.get(scope, tenant)
    return scope.within(found.id)


def ms_of(at: datetime | None, field: str = "since") -> int:
    """A time that was asked for; 0 for none. A time without a zone is refused."""
    if at is None:
        return 0
    try:
        return max(1, clock.from_datetime(at))
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error), field=field) from error


def event_of(event: EventRecord) -> Event:
    """As the API shows it: its data without what stands beside it."""
    return Event(
        id=event.id,
        message=ids.to_text(event.message_id),
        n=event.n,
        tenant_id=event.tenant_id,
        kind=event.kind,
        at=moment(event.at),
        data={name: value for name, value in event.data.items() if name != "tenant"},
    )


def id_of(text: str) -> int:
    """The number of a message. Raises NotFoundError for what is none."""
    try:
        return ids.from_text(text)
    except ValueError as error:
        raise NotFoundError(f"the log has no message {text[:40]!r}") from error


def _flags(names: list[FlagName]) -> Flag:
    flags = Flag(0)
    for name in names:
        flags |= Flag[name.upper()]
    return flags


def _recipient(row: Found) -> Recipient:
    return Recipient(
        id=ids.to_text(row.message_id),
        n=row.n,
        tenant_id=row.tenant_id,
        recipient=row.address,
        domain=row.domain,
        sender=row.sender,
        header_from=row.header_from,
        message_id=row.message_id_header,
        subject=row.subject,
        tags=list(row.tags),
        traffic_class=row.traffic_class,
        size=row.size,
        accepted_at=moment(row.accepted_at),
        status=row.status,
        status_at=moment(row.status_at),
        attempts=row.attempts,
        reply=row.reply,
        host=row.host,
        egress=row.egress,
        tls=row.tls,
        category=row.category,
        flags=[str(flag.name).lower() for flag in row.flags],
    )


def _message(found: MessageHistory) -> Message:
    return Message(
        id=ids.to_text(found.message_id),
        source=found.source,
        client=found.client,
        signing_domain=found.signing_domain,
        selectors=list(found.selectors),
        metadata=found.metadata,
        recipients=[_recipient(row) for row in found.recipients],
        events=[event_of(event) for event in found.events],
        is_cut=found.is_cut,
    )


HANDLERS: Final[list[Any]] = [list_messages, show_message]
