"""Sending domains: claim one, publish its records, see what DNS says of each, renew its keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.nouns import Id, Whose, cut, in_field, owner_of, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import ConflictError
from appliance.core.scope import BOX
from appliance.domains import Check, CheckState, DomainRecord, KeyState
from appliance.rights import Right
from mta.signing.dns_records import DnsRecord, RecordKind

_CHECKS: Final = Rate(0.5, 20)
"""A look at DNS, or a pair of keys, costs more than a row."""

_RECORD: Final = {
    "kind": "ownership",
    "name": "_pillarbox.shop.example",
    "type": "TXT",
    "value": "pillarbox-verification=k5x2...",
    "purpose": "Proves that the domain is yours, so that nobody else can send with it.",
    "state": "missing",
    "problem": "there is no such TXT record; publish it with the value pillarbox-verification=k5x2...",
    "found": [],
}
_DOMAIN: Final = {
    "id": 7,
    "tenant_id": 3,
    "name": "shop.example",
    "verified": False,
    "verified_at": None,
    "default": True,
    "return_path": "bounces.shop.example",
    "return_path_verified": False,
    "has_dmarc": False,
    "keys": [{"selector": "pb1r", "algorithm": "rsa-sha256", "state": "active"}],
    "checked_at": "2026-11-20T10:05:00Z",
    "created_at": "2026-11-20T10:00:00Z",
}
_WHOLE: Final = _DOMAIN | {"records": [_RECORD]}


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key without its private half."""

    selector: str
    algorithm: str
    state: Annotated[
        KeyState, Meta(description="A pending one signs when its record was seen in DNS.")
    ]


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A sending domain."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: the box's own, which signs its notices.")]
    name: str
    verified: Annotated[bool, Meta(description="Whether it may send.")]
    verified_at: datetime | None
    default: Annotated[bool, Meta(description="Signs foreign From domains of forwarders.")]
    return_path: str
    return_path_verified: bool
    has_dmarc: bool
    keys: list[Selector]
    checked_at: datetime | None
    created_at: datetime | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A DNS record to publish, and what the last check found of it."""

    kind: RecordKind
    name: str
    type: str
    value: str
    purpose: str
    state: Annotated[CheckState, Meta(description="unknown: DNS could not say, or was not asked.")]
    problem: Annotated[str, Meta(description="What is wrong, in words.")]
    found: list[str]


class DomainWithRecords(Domain, frozen=True, kw_only=True):
    """A sending domain with all that its owner publishes."""

    records: list[Record]


class DomainPage(msgspec.Struct, frozen=True, kw_only=True):
    """Domains, oldest first; `cursor` leads on, "" at the end."""

    items: list[Domain]
    cursor: str


class NewDomain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The domain that is claimed."""

    name: Annotated[str, Meta(min_length=1, max_length=253)]
    assume_verified: Annotated[
        bool, Meta(description="Skip the proof, in a closed network; the box's keys alone may.")
    ] = False


class OwnKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private key that was made elsewhere."""

    selector: Annotated[str, Meta(min_length=1, max_length=63)]
    pem: Annotated[str, Meta(min_length=1, max_length=65536)]


@get(
    "/domains",
    opt={RIGHT: Right.DOMAINS_READ, EXAMPLE: Example({"items": [_DOMAIN], "cursor": ""})},
    tags=["domains"],
    summary="List the sending domains",
)
async def list_domains(
    rooms: Behind, asker: WhoAsks, tenant: Whose = "", cursor: Cursor = "", limit: Limit = 50
) -> DomainPage:
    """Those of a tenant, or of all; the box's own among them."""
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.domains.page(scope, after=place_of(cursor), limit=limit + 1)
    items, last = cut(found, limit, lambda one: one.id)
    return DomainPage(items=[_shown(one) for one in items], cursor=last)


@post(
    "/domains",
    opt={
        RIGHT: Right.DOMAINS_MANAGE,
        RATE: _CHECKS,
        EXAMPLE: Example(_WHOLE, {"name": "shop.example"}),
    },
    tags=["domains"],
    summary="Claim a sending domain",
)
async def create_domain(
    data: JSONBody[NewDomain], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> DomainWithRecords:
    """Makes its keys; publish the records of the answer, then have them checked."""
    owner = await owner_of(rooms, asker, tenant)
    with in_field("name"):
        made = await rooms.domains.create(
            asker.actor.scope,
            tenant_id=owner.id,
            name=data.name,
            assume_verified=data.assume_verified,
        )
    return _whole(rooms, made)


@get(
    "/domains/{domain_id:int}",
    opt={RIGHT: Right.DOMAINS_READ, EXAMPLE: Example(_WHOLE)},
    tags=["domains"],
    summary="Show a sending domain",
)
async def show_domain(domain_id: Id, rooms: Behind, asker: WhoAsks) -> DomainWithRecords:
    """With the records to publish, and the state of each at the last check."""
    return _whole(rooms, await rooms.domains.by_id(asker.actor.scope, domain_id))


@post(
    "/domains/{domain_id:int}/check",
    status_code=200,
    opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS, EXAMPLE: Example(_WHOLE)},
    tags=["domains"],
    summary="Check a domain's records now",
)
async def check_domain(domain_id: Id, rooms: Behind, asker: WhoAsks) -> DomainWithRecords:
    """Asks DNS for every record; what is right takes effect at once."""
    found = await rooms.domains.by_id(asker.actor.scope, domain_id)
    return _whole(rooms, await rooms.dns.check_domain(asker.actor.scope, found))


@post(
    "/domains/{domain_id:int}/keys/rotate",
    status_code=200,
    opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS, EXAMPLE: Example(_WHOLE)},
    tags=["domains"],
    summary="Renew a domain's keys",
)
async def rotate_keys(domain_id: Id, rooms: Behind, asker: WhoAsks) -> DomainWithRecords:
    """New selectors, which sign when a check has seen their records; the old ones stay published."""
    scope = asker.actor.scope
    found = await rooms.domains.by_id(scope, domain_id)
    return _whole(rooms, await rooms.domains.rotate(scope, found.name, tenant_id=found.tenant_id))


@post(
    "/domains/{domain_id:int}/keys/import",
    status_code=200,
    opt={
        RIGHT: Right.DOMAINS_MANAGE,
        RATE: _CHECKS,
        EXAMPLE: Example(_WHOLE, {"selector": "s2026a", "pem": "-----BEGIN PRIVATE KEY-----\n..."}),
    },
    tags=["domains"],
    summary="Take a domain's key over",
)
async def import_key(
    domain_id: Id, data: JSONBody[OwnKey], rooms: Behind, asker: WhoAsks
) -> DomainWithRecords:
    """A key that was made elsewhere; it signs when a check has seen its record."""
    scope = asker.actor.scope
    found = await rooms.domains.by_id(scope, domain_id)
    done = await rooms.domains.import_key(
        scope,
        found.name,
        selector=data.selector,
        pem=data.pem.encode(),
        tenant_id=found.tenant_id,
    )
    return _whole(rooms, done)


@post(
    "/domains/{domain_id:int}/default",
    status_code=200,
    opt={RIGHT: Right.DOMAINS_MANAGE, EXAMPLE: Example(_DOMAIN)},
    tags=["domains"],
    summary="Make a domain the default",
)
async def make_default(domain_id: Id, rooms: Behind, asker: WhoAsks) -> Domain:
    """It then signs foreign From domains of the tenant's forwarders."""
    scope = asker.actor.scope
    found = await rooms.domains.by_id(scope, domain_id)
    return _shown(await rooms.domains.set_default(scope, found.name, tenant_id=found.tenant_id))


@delete(
    "/domains/{domain_id:int}",
    status_code=200,
    opt={RIGHT: Right.DOMAINS_MANAGE, EXAMPLE: Example(_DOMAIN)},
    tags=["domains"],
    summary="Give a domain up",
)
async def delete_domain(domain_id: Id, rooms: Behind, asker: WhoAsks) -> Domain:
    """Keys and all; what still waits is signed by the tenant's default domain, or not at all. The box's own stays."""
    scope = asker.actor.scope
    found = await rooms.domains.by_id(scope, domain_id)
    if found.tenant_id == BOX:
        raise ConflictError(f"{found.name} is the box's own: it stays")
    await rooms.domains.remove(scope, found.name, tenant_id=found.tenant_id)
    return _shown(found)


def _fields(one: DomainRecord) -> dict[str, Any]:
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "name": one.name,
        "verified": one.verified,
        "verified_at": moment(one.verified_at),
        "default": one.is_default,
        "return_path": one.return_path,
        "return_path_verified": one.return_path_verified,
        "has_dmarc": one.has_dmarc,
        "keys": [
            Selector(selector=key.selector, algorithm=key.algorithm, state=key.state)
            for key in one.keys
        ],
        "checked_at": moment(one.checked_at),
        "created_at": moment(one.created_at),
    }


def _shown(one: DomainRecord) -> Domain:
    return Domain(**_fields(one))


def _whole(rooms: Rooms, one: DomainRecord) -> DomainWithRecords:
    checks = {(each.kind, each.name): each for each in one.report.checks} if one.report else {}
    records = [_record(each, check_of(each, checks)) for each in rooms.domains.records(one)]
    return DomainWithRecords(**_fields(one), records=records)


def check_of(record: DnsRecord, checks: dict[tuple[RecordKind, str], Check]) -> Check | None:
    """A DMARC record may stand with a parent of the domain: its check says where."""
    exact = checks.get((record.kind, record.name))
    if exact is not None or record.kind is not RecordKind.DMARC:
        return exact
    return next((one for (kind, _), one in checks.items() if kind is record.kind), None)


def _record(one: DnsRecord, check: Check | None) -> Record:
    return Record(
        kind=one.kind,
        name=one.name,
        type=one.type,
        value=one.value,
        purpose=one.purpose,
        state=check.state if check else CheckState.UNKNOWN,
        problem=check.problem if check else "",
        found=list(check.found) if check else [],
    )


HANDLERS: Final[list[Any]] = [
    list_domains,
    create_domain,
    show_domain,
    check_domain,
    rotate_keys,
    import_key,
    make_default,
    delete_domain,
]
