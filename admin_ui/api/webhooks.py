"""Webhooks: endpoints that are told what becomes of mail, their deliveries, and sending events again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.messages import Whose, scope_of
from admin_ui.api.nouns import Id
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, millis, moment, place_of
from admin_ui.rooms import Behind
from appliance.core.errors import UsageError
from appliance.rights import Right
from appliance.webhooks import TYPES, Change, Outcome, replay_order
from appliance.webhooks import Delivery as Attempt
from appliance.webhooks import Endpoint as Record
from appliance.webhooks.rules import MAX_DESCRIPTION, MAX_URL

_ENDPOINT: Final = {
    "id": 4,
    "tenant_id": 3,
    "url": "https://hooks.shop.example/mail",
    "types": ["message.delivered", "message.bounced"],
    "description": "the shop",
    "enabled": True,
    "created_at": "2026-11-20T10:00:00Z",
    "disabled_at": None,
    "disabled_by": "",
    "disabled_reason": "",
    "old_secret_until": None,
}
_DELIVERY: Final = {
    "id": 991,
    "event": "msg_05p3k8r2m0001-0-17-4",
    "type": "message.delivered",
    "at": "2026-11-20T10:00:03Z",
    "attempt": 1,
    "outcome": "taken",
    "status": 200,
    "took_ms": 41,
    "answer": "ok",
}
_OFF: Final = {
    "enabled": False,
    "disabled_at": "2026-11-21T10:00:00Z",
    "disabled_by": "key 3 (ops)",
    "disabled_reason": "for repairs",
}
_SECRET: Final = {"endpoint": _ENDPOINT, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
_STANDING: Final = {"waiting": 0, "given_up": 0, "oldest_at": None, "last": _DELIVERY}

Url = Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
Types = Annotated[
    list[str],
    Meta(max_length=len(TYPES), description=f"Of {', '.join(TYPES)}."),
]
Words = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are sent to."""

    id: int
    tenant_id: int
    url: str
    types: list[str]
    description: str
    enabled: bool
    created_at: datetime | None
    disabled_at: datetime | None
    disabled_by: str
    disabled_reason: str
    old_secret_until: Annotated[
        datetime | None, Meta(description="Until then the secret before signs too.")
    ]


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, oldest first; a tenant has twenty at most."""

    items: list[Endpoint]


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The endpoint that is wanted."""

    url: Url
    types: Types = msgspec.field(default_factory=lambda: list(TYPES))
    description: Words = ""
    tenant: Annotated[
        str, Meta(max_length=63, description="Whose; only a key of the box may say it.")
    ] = ""


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; the rest stays."""

    url: Url | None = None
    types: Types | None = None
    description: Words | None = None


class MadeEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint with its secret, which is shown this once."""

    endpoint: Endpoint
    secret: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt."""

    id: int
    event: Annotated[str, Meta(description="The header webhook-id.")]
    type: str
    at: datetime | None
    attempt: int
    outcome: Outcome
    status: Annotated[int, Meta(description="Of HTTP; 0: no answer.")]
    took_ms: int
    answer: Annotated[str, Meta(description="Its beginning, or what went wrong.")]


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts, newest first; `cursor` leads on, "" at the end."""

    items: list[Delivery]
    cursor: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far an endpoint is."""

    waiting: int
    given_up: int
    oldest_at: datetime | None
    last: Delivery | None


class EndpointShown(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, and how far it is."""

    endpoint: Endpoint
    standing: Standing


class Off(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is disabled."""

    reason: Annotated[str, Meta(max_length=500)] = ""


class On(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it goes on."""

    skip: Annotated[bool, Meta(description="Do not send what it missed.")] = False


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be sent again: one event, those that were given up, or all since a time."""

    what: Literal["event", "failed", "all"]
    event: Annotated[
        str, Meta(max_length=100, description="The event's id, or its webhook-id.")
    ] = ""
    since: Annotated[datetime, Meta(tz=True)] | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How many are sent again, or the job that does it."""

    replayed: int = 0
    job: int | None = None


@get(
    "/webhooks",
    opt={RIGHT: Right.WEBHOOKS_READ, EXAMPLE: Example({"items": [_ENDPOINT]})},
    tags=["webhooks"],
    summary="List the endpoints",
)
async def list_webhooks(rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> Endpoints:
    """Those that are enabled, and those that are not."""
    found = await rooms.webhooks.list(await scope_of(rooms, asker, tenant))
    return Endpoints(items=list(map(_shown, found)))


@post(
    "/webhooks",
    opt={
        RIGHT: Right.WEBHOOKS_MANAGE,
        EXAMPLE: Example(
            _SECRET,
            {
                "url": "https://hooks.shop.example/mail",
                "types": ["message.delivered", "message.bounced"],
                "description": "the shop",
            },
        ),
    },
    tags=["webhooks"],
    summary="Add an endpoint",
)
async def create_webhook(
    data: JSONBody[NewEndpoint], rooms: Behind, asker: WhoAsks
) -> MadeEndpoint:
    """It is told what happens from now on. The secret is in the answer and nowhere else."""
    scope = asker.actor.scope
    tenant = await rooms.tenants.get(scope, data.tenant) if data.tenant else None
    made = await rooms.webhooks.create(
        scope,
        url=data.url,
        types=data.types,
        description=data.description,
        tenant_id=tenant.id if tenant else None,
    )
    return MadeEndpoint(endpoint=_shown(made.endpoint), secret=made.secret)


@get(
    "/webhooks/{webhook_id:int}",
    opt={
        RIGHT: Right.WEBHOOKS_READ,
        EXAMPLE: Example({"endpoint": _ENDPOINT, "standing": _STANDING}),
    },
    tags=["webhooks"],
    summary="Show an endpoint",
)
async def show_webhook(webhook_id: Id, rooms: Behind, asker: WhoAsks) -> EndpointShown:
    """With what waits for it, and what it said last."""
    scope = asker.actor.scope
    found = await rooms.webhooks.get(scope, webhook_id)
    standing = await rooms.webhooks.standing(scope, webhook_id)
    return EndpointShown(
        endpoint=_shown(found),
        standing=Standing(
            waiting=standing.waiting,
            given_up=standing.given_up,
            oldest_at=moment(standing.oldest_at),
            last=None if standing.last is None else _attempt(standing.last),
        ),
    )


@patch(
    "/webhooks/{webhook_id:int}",
    opt={
        RIGHT: Right.WEBHOOKS_MANAGE,
        EXAMPLE: Example(_ENDPOINT, {"types": ["message.delivered", "message.bounced"]}),
    },
    tags=["webhooks"],
    summary="Change an endpoint",
)
async def change_webhook(
    webhook_id: Id, data: JSONBody[EndpointChange], rooms: Behind, asker: WhoAsks
) -> Endpoint:
    """Its address, what it is told, or its description."""
    types = None if data.types is None else tuple(data.types)
    wanted = Change(url=data.url, types=types, description=data.description)
    return _shown(await rooms.webhooks.change(asker.actor.scope, webhook_id, wanted))


@delete(
    "/webhooks/{webhook_id:int}",
    status_code=200,
    opt={RIGHT: Right.WEBHOOKS_MANAGE, EXAMPLE: Example(_ENDPOINT)},
    tags=["webhooks"],
    summary="Delete an endpoint",
)
async def delete_webhook(webhook_id: Id, rooms: Behind, asker: WhoAsks) -> Endpoint:
    """With what waits for it and its deliveries."""
    return _shown(await rooms.webhooks.delete(asker.actor.scope, webhook_id))


@post(
    "/webhooks/{webhook_id:int}/secret",
    opt={RIGHT: Right.WEBHOOKS_MANAGE, EXAMPLE: Example(_SECRET)},
    tags=["webhooks"],
    summary="Rotate the secret",
)
async def rotate_webhook(webhook_id: Id, rooms: Behind, asker: WhoAsks) -> MadeEndpoint:
    """For 24 hours what is sent is signed with the old one too."""
    made = await rooms.webhooks.rotate(asker.actor.scope, webhook_id)
    return MadeEndpoint(endpoint=_shown(made.endpoint), secret=made.secret)


@post(
    "/webhooks/{webhook_id:int}/disable",
    status_code=200,
    opt={
        RIGHT: Right.WEBHOOKS_MANAGE,
        EXAMPLE: Example(_ENDPOINT | _OFF, {"reason": "for repairs"}),
    },
    tags=["webhooks"],
    summary="Disable an endpoint",
)
async def disable_webhook(
    webhook_id: Id, data: JSONBody[Off], rooms: Behind, asker: WhoAsks
) -> Endpoint:
    """It is told nothing until it is enabled."""
    scope = asker.actor.scope
    return _shown(await rooms.webhooks.disable(scope, webhook_id, reason=data.reason))


@post(
    "/webhooks/{webhook_id:int}/enable",
    status_code=200,
    opt={RIGHT: Right.WEBHOOKS_MANAGE, EXAMPLE: Example(_ENDPOINT, {"skip": False})},
    tags=["webhooks"],
    summary="Enable an endpoint",
)
async def enable_webhook(
    webhook_id: Id, data: JSONBody[On], rooms: Behind, asker: WhoAsks
) -> Endpoint:
    """It goes on where it stopped, as far back as the log reaches."""
    return _shown(await rooms.webhooks.enable(asker.actor.scope, webhook_id, skip=data.skip))


@post(
    "/webhooks/{webhook_id:int}/test",
    status_code=200,
    opt={
        RIGHT: Right.WEBHOOKS_MANAGE,
        EXAMPLE: Example(
            _DELIVERY | {"type": "webhook.test", "event": "msg_test-9f2c41d07a5b3e68-4"}
        ),
    },
    tags=["webhooks"],
    summary="Try an endpoint out",
)
async def test_webhook(webhook_id: Id, rooms: Behind, asker: WhoAsks) -> Delivery:
    """Sends a `webhook.test` now; the answer says what the receiver said."""
    return _attempt(await rooms.webhook_trials.test(asker.actor.scope, webhook_id))


@get(
    "/webhooks/{webhook_id:int}/deliveries",
    opt={RIGHT: Right.WEBHOOKS_READ, EXAMPLE: Example({"items": [_DELIVERY], "cursor": ""})},
    tags=["webhooks"],
    summary="List the deliveries",
)
async def list_deliveries(
    webhook_id: Id,
    rooms: Behind,
    asker: WhoAsks,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> DeliveryPage:
    """Attempts of the last seven days, the newest 500."""
    found = await rooms.webhooks.deliveries(
        asker.actor.scope, webhook_id, before=place_of(cursor), limit=limit + 1
    )
    page = found[:limit]
    following = str(page[-1].id) if len(found) > limit else ""
    return DeliveryPage(items=list(map(_attempt, page)), cursor=following)


@post(
    "/webhooks/{webhook_id:int}/replay",
    status_code=202,
    opt={
        RIGHT: Right.WEBHOOKS_MANAGE,
        EXAMPLE: Example({"replayed": 3, "job": None}, {"what": "failed"}),
    },
    tags=["webhooks"],
    summary="Send events again",
)
async def replay_webhook(
    webhook_id: Id, data: JSONBody[Replay], rooms: Behind, asker: WhoAsks
) -> Replayed:
    """One event, those that were given up, or all since a time; the last as a job."""
    scope, since = asker.actor.scope, millis(data.since)
    match data.what:
        case "event":
            if not data.event:
                raise UsageError("say which event", field="event")
            await rooms.webhook_trials.replay(scope, rooms.log, webhook_id, data.event)
            return Replayed(replayed=1)
        case "failed":
            return Replayed(
                replayed=await rooms.webhooks.replay_failed(scope, webhook_id, since=since)
            )
        case "all":
            if not since:
                raise UsageError("say since when", field="since")
            endpoint = await rooms.webhooks.get(scope, webhook_id)
            job = await rooms.jobs.order(scope, replay_order(endpoint, since))
            return Replayed(job=job.id)


def _shown(one: Record) -> Endpoint:
    return Endpoint(
        id=one.id,
        tenant_id=one.tenant_id,
        url=one.url,
        types=list(one.types),
        description=one.description,
        enabled=one.is_enabled,
        created_at=moment(one.created_at),
        disabled_at=moment(one.disabled_at),
        disabled_by=one.disabled_by,
        disabled_reason=one.disabled_reason,
        old_secret_until=moment(one.old_secret_until),
    )


def _attempt(one: Attempt) -> Delivery:
    return Delivery(
        id=one.id,
        event=one.event,
        type=one.type,
        at=moment(one.at),
        attempt=one.attempt,
        outcome=one.outcome,
        status=one.status,
        took_ms=one.took,
        answer=one.answer,
    )


HANDLERS: Final[list[Any]] = [
    list_webhooks,
    create_webhook,
    show_webhook,
    change_webhook,
    delete_webhook,
    rotate_webhook,
    disable_webhook,
    enable_webhook,
    test_webhook,
    list_deliveries,
    replay_webhook,
]
