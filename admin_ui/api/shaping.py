"""Shaping: what receivers' answers have slowed or suspended, why, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.nouns import PLAIN, Short, Words, in_field, page
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, moment
from admin_ui.desks import Row
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.core.scope import BOX
from appliance.domains.rules import checked_name
from appliance.rights import Right
from mta.shaping.throttle import Subject, Throttle

_LOOKUPS: Final = Rate(1, 20)
_CHANGE: Final = {
    "at": "2026-11-20T10:00:00Z",
    "words": "slowed to 10/min: google-unusual-rate: 421 4.7.28 unusual rate",
}
_THROTTLE: Final = {
    "egress": "out-1",
    "zone": "google",
    "tenant_id": 0,
    "domain": "",
    "state": "slowed to 10/min",
    "why": '"421 4.7.28 unusual rate" (rule google-unusual-rate)',
    "suspended_until": None,
    "changed_at": "2026-11-20T10:00:00Z",
    "history": [_CHANGE],
}
_EXPLAINED: Final = {
    "domain": "gmail.com",
    "route": "",
    "site": "gmail-smtp-in.l.google.com",
    "hosts": ["gmail-smtp-in.l.google.com"],
    "tls_policy": "",
    "zone": "google",
    "provider": "google",
    "title": "Gmail and Google Workspace",
    "limits": {
        "connections": 10,
        "zone_connections": 20,
        "messages_per_connection": 100,
        "connection_rate": "none",
        "message_rate": "20/s",
        "tls": "may",
    },
    "egresses": [
        {
            "name": "out-1",
            "address": "203.0.113.5",
            "state": "enabled",
            "why": "",
            "connections": 1,
            "unreachable": "",
            "rate": "10/min",
            "warmup": {
                "provider": "google",
                "state": "warming",
                "stage": 3,
                "stages": 30,
                "used": 87,
                "limit": 200,
                "next": "2026-11-21T00:00:00Z",
                "why": "",
            },
            "throttles": [
                {
                    "tenant_id": 0,
                    "domain": "",
                    "in_force": True,
                    "state": "slowed to 10/min",
                    "why": '"421 4.7.28 unusual rate" (rule google-unusual-rate)',
                    "next": "2026-11-20T10:10:00Z",
                    "normal": "2026-11-20T10:40:00Z",
                    "history": [_CHANGE],
                }
            ],
        }
    ],
}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a throttle."""

    at: datetime | None
    words: str


class ThrottleShape(msgspec.Struct, frozen=True, kw_only=True):
    """Who goes slower than configured, or not at all."""

    egress: str
    zone: Annotated[str, Meta(description="A provider of the shaping file, or a site.")]
    tenant_id: Annotated[int, Meta(description="0: whoever sends.")]
    domain: Annotated[str, Meta(description="Empty: whoever receives.")]
    state: str
    why: str
    suspended_until: datetime | None
    changed_at: datetime | None
    history: list[Told]


class ThrottlePage(msgspec.Struct, frozen=True, kw_only=True):
    """Throttles in force; `cursor` leads on, "" at the end."""

    items: list[ThrottleShape]
    cursor: str


class LimitsThere(msgspec.Struct, frozen=True, kw_only=True):
    """What is configured for each address at the receiver."""

    connections: int
    zone_connections: int
    messages_per_connection: int
    connection_rate: str
    message_rate: str
    tls: str


class WarmupThere(msgspec.Struct, frozen=True, kw_only=True):
    """How much of its warmup is used."""

    provider: str
    state: str
    stage: int
    stages: int
    used: int
    limit: int
    next: datetime | None
    why: str


class ThrottleThere(msgspec.Struct, frozen=True, kw_only=True):
    """What holds an address back there."""

    tenant_id: int
    domain: str
    in_force: bool
    state: str
    why: str
    next: Annotated[datetime | None, Meta(description="When it goes faster.")]
    normal: Annotated[datetime | None, Meta(description="When it goes as configured.")]
    history: list[Told]


class EgressThere(msgspec.Struct, frozen=True, kw_only=True):
    """How an address stands with the receiver."""

    name: str
    address: str
    state: str
    why: str
    connections: int
    unreachable: str
    rate: str
    warmup: WarmupThere | None
    throttles: list[ThrottleThere]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Why mail to a domain goes as fast as it goes, or does not."""

    domain: str
    route: Annotated[str, Meta(description="Why it cannot be reached; empty: it can.")]
    site: str = ""
    hosts: list[str] = msgspec.field(default_factory=list)
    tls_policy: str = ""
    zone: str = ""
    provider: str = ""
    title: str = ""
    limits: LimitsThere | None = None
    egresses: list[EgressThere] = msgspec.field(default_factory=list)


class Lift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which throttle is to end, as the list names it."""

    egress: Short
    zone: Short
    reason: Words
    tenant: Annotated[str, Meta(max_length=63, pattern=PLAIN)] = ""
    domain: Short = ""


@get(
    "/shaping/throttles",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_THROTTLE], "cursor": ""})},
    tags=["shaping"],
    summary="List what is slowed or suspended now",
)
async def list_throttles(
    rooms: Behind, asker: WhoAsks, cursor: Cursor = "", limit: Limit = 50
) -> ThrottlePage:
    """With the receiver's words, and the rule that acts on them."""
    every = await rooms.throttles.all(asker.actor.scope)
    standing = (one for one in every if one.in_force)
    items, last = page(standing, lambda one: " ".join(map(str, one.subject)), cursor, limit)
    now = clock.now_ms()
    return ThrottlePage(items=[_shown(one, now) for one in items], cursor=last)


@get(
    "/shaping/explain",
    opt={RIGHT: Right.EGRESS_READ, RATE: _LOOKUPS, EXAMPLE: Example(_EXPLAINED)},
    tags=["shaping"],
    summary="Explain how mail to a domain goes",
)
async def explain(
    rooms: Behind,
    domain: Annotated[str, QueryParameter(min_length=1, max_length=253, pattern=PLAIN)],
) -> Explained:
    """Its hosts and provider, the limits, and for every egress what holds it back."""
    with in_field("domain"):
        wanted = checked_name(domain)
    return _explained(await rooms.queue.explain(wanted))


@post(
    "/shaping/lift",
    status_code=200,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        EXAMPLE: Example(
            _THROTTLE | {"state": "as configured"},
            {"egress": "out-1", "zone": "google", "reason": "they have raised our limit"},
        ),
    },
    tags=["shaping"],
    summary="Lift a throttle",
)
async def lift(data: JSONBody[Lift], rooms: Behind, asker: WhoAsks) -> ThrottleShape:
    """It goes as configured again, at once; 404 when nothing slows it."""
    scope, tenant_id = asker.actor.scope, BOX
    if data.tenant:
        with in_field("tenant"):
            tenant_id = (await rooms.tenants.get(scope, data.tenant)).id
    subject = Subject(data.egress, data.zone, tenant_id, data.domain)
    return _shown(await rooms.throttles.lift(scope, subject, reason=data.reason), clock.now_ms())


def _shown(one: Throttle, now: int) -> ThrottleShape:
    return ThrottleShape(
        **one.subject._asdict(),
        state=one.state(now),
        why=one.why,
        suspended_until=moment(one.suspended_until),
        changed_at=moment(one.changed_at),
        history=[Told(at=moment(each.at), words=each.words) for each in one.history],
    )


def _explained(found: Row) -> Explained:
    if found["route"]:
        return Explained(domain=found["domain"], route=found["route"])
    return Explained(
        **found
        | {
            "limits": LimitsThere(**found["limits"]),
            "egresses": [_egress(one) for one in found["egresses"]],
        }
    )


def _egress(one: Row) -> EgressThere:
    warmup = one["warmup"]
    if warmup is not None:
        warmup = WarmupThere(**warmup | {"next": moment(warmup["next"])})
    return EgressThere(
        **one | {"warmup": warmup, "throttles": [_throttle(each) for each in one["throttles"]]}
    )


def _throttle(one: Row) -> ThrottleThere:
    return ThrottleThere(
        tenant_id=one["tenant_id"],
        domain=one["domain"],
        in_force=one["in_force"],
        state=one["state"],
        why=one["why"],
        next=moment(one["next_at"]),
        normal=moment(one["normal_at"]),
        history=[Told(at=moment(each["at"]), words=each["words"]) for each in one["history"]],
    )


HANDLERS: Final[list[Any]] = [list_throttles, explain, lift]
