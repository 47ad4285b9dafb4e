"""SMTP credentials: make one, say what it may do, renew its password, revoke it.

A password is in the answer that makes it and nowhere else. The credentials behind API keys are not here:
they come and go with their keys.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, Asker, WhoAsks
from admin_ui.api.nouns import Count, Id, Short, Whose, cut, in_field, owner_of, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.core.errors import ForbiddenError, NotFoundError
from appliance.credentials import CredentialRecord, Door, IssuedLogin, Policy
from appliance.rights import Right
from mta.directory import FromPolicy, Gate
from mta.message import ReturnPathMode
from mta.status import TrafficClass

_POLICY: Final = {
    "from_policy": "verified",
    "envelope_sender_verified": False,
    "allowed_from": ["shop.example"],
    "networks": [],
    "traffic_class": "transactional",
    "tags": ["web"],
    "return_path_mode": None,
    "dsn": True,
    "compliance": "off",
    "refuse_suppressed": False,
    "accept_8bit_headers": False,
    "normalise_line_ends": False,
    "hide_client": False,
    "recipients_per_hour": 0,
    "recipients_per_day": 20000,
    "surge_hold": True,
    "pool": "",
    "sandbox": False,
}
_CREDENTIAL: Final = {
    "id": 5,
    "tenant_id": 3,
    "name": "web-app",
    "state": "valid",
    "policy": _POLICY,
    "logins": [
        {
            "username": "shop.web-app.k7xq2m",
            "created_at": "2026-11-20T10:00:00Z",
            "expires_at": None,
        }
    ],
    "created_at": "2026-11-20T10:00:00Z",
    "revoked_at": None,
    "last_used_at": None,
    "last_used_from": "",
    "usual_per_hour": 0,
}
_ISSUED: Final = {
    "credential": _CREDENTIAL,
    "username": "shop.web-app.k7xq2m",
    "password": "pbs_8fVqZ...",
}
_MAX_OVERLAP: Final = 24 * 365.0  # hours
_Items = Annotated[tuple[Short, ...], Meta(max_length=100)]


class PolicyShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a credential may do. What is left out of a request is as a new credential has it."""

    from_policy: Annotated[
        FromPolicy, Meta(description="any: foreign From domains too; the box's keys alone give it.")
    ] = FromPolicy.VERIFIED
    envelope_sender_verified: bool = False
    allowed_from: Annotated[_Items, Meta(description="Only these From domains.")] = ()
    networks: Annotated[_Items, Meta(description="Only from these networks (CIDR).")] = ()
    traffic_class: TrafficClass | None = None
    tags: Annotated[_Items, Meta(description="Added to every message.")] = ()
    return_path_mode: ReturnPathMode | None = None
    dsn: Annotated[bool, Meta(description="Failure notices to senders.")] = True
    compliance: Gate = Gate.OFF
    refuse_suppressed: bool = False
    accept_8bit_headers: bool = False
    normalise_line_ends: bool = False
    hide_client: bool = False
    recipients_per_hour: Count = 0
    recipients_per_day: Count = 0
    surge_hold: Annotated[bool, Meta(description="Hold what is far above the usual.")] = True
    pool: Short = ""
    sandbox: Annotated[bool, Meta(description="What it sends is delivered to nobody.")] = False


class LoginShape(msgspec.Struct, frozen=True, kw_only=True):
    """A user name."""

    username: str
    created_at: datetime | None
    expires_at: datetime | None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential without its password."""

    id: int
    tenant_id: int
    name: str
    state: Annotated[str, Meta(description="valid or revoked.")]
    policy: PolicyShape
    logins: list[LoginShape]
    created_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str
    usual_per_hour: Annotated[int, Meta(description="Recipients; 0: not known yet.")]


class CredentialPage(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials, oldest first; `cursor` leads on, "" at the end."""

    items: list[Credential]
    cursor: str


class NewCredential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The credential that is wanted."""

    name: Annotated[
        str, Meta(min_length=1, max_length=40, description="Letters, digits and inner hyphens.")
    ]
    policy: PolicyShape = msgspec.field(default_factory=PolicyShape)


class Overlap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many hours the old password still works."""

    overlap_hours: Annotated[float, Meta(ge=0, le=_MAX_OVERLAP)] = 24.0


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """The login just made; the password is shown this once."""

    credential: Credential
    username: str
    password: str


@get(
    "/credentials",
    opt={
        RIGHT: Right.CREDENTIALS_READ,
        EXAMPLE: Example({"items": [_CREDENTIAL], "cursor": ""}),
    },
    tags=["credentials"],
    summary="List the SMTP credentials",
)
async def list_credentials(
    *,
    rooms: Behind,
    asker: WhoAsks,
    tenant: Whose = "",
    cursor: Cursor = "",
    limit: Limit = 50,
    revoked: Annotated[bool, QueryParameter(description="Revoked ones too.")] = False,
) -> CredentialPage:
    """What may log in at the SMTP ports."""
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.credentials.page(
        scope, after=place_of(cursor), limit=limit + 1, revoked_too=revoked
    )
    items, last = cut(found, limit, lambda one: one.id)
    return CredentialPage(items=[_shown(one) for one in items], cursor=last)


@post(
    "/credentials",
    opt={
        RIGHT: Right.CREDENTIALS_MANAGE,
        EXAMPLE: Example(_ISSUED, {"name": "web-app", "policy": {"tags": ["web"]}}),
    },
    tags=["credentials"],
    summary="Make an SMTP credential",
)
async def create_credential(
    data: JSONBody[NewCredential], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> Issued:
    """The password is in the answer and nowhere else."""
    owner = await owner_of(rooms, asker, tenant)
    policy = await _policy(rooms, asker, data.policy, owner.id, Policy())
    with in_field("name"):
        issued = await rooms.credentials.create(
            asker.actor.scope, owner, name=data.name, policy=policy
        )
    return _issued(issued)


@get(
    "/credentials/{credential_id:int}",
    opt={RIGHT: Right.CREDENTIALS_READ, EXAMPLE: Example(_CREDENTIAL)},
    tags=["credentials"],
    summary="Show an SMTP credential",
)
async def show_credential(credential_id: Id, rooms: Behind, asker: WhoAsks) -> Credential:
    """Without its password, which nobody knows any more."""
    return _shown(await _find(rooms, asker, credential_id))


@put(
    "/credentials/{credential_id:int}/policy",
    opt={RIGHT: Right.CREDENTIALS_MANAGE, EXAMPLE: Example(_CREDENTIAL, _POLICY)},
    tags=["credentials"],
    summary="Change what a credential may do",
)
async def set_policy(
    credential_id: Id, data: JSONBody[PolicyShape], rooms: Behind, asker: WhoAsks
) -> Credential:
    """Replaces the whole policy: send what GET shows, with what is to change."""
    found = await _find_to_change(rooms, asker, credential_id)
    policy = await _policy(rooms, asker, data, found.tenant_id, found.policy)
    return _shown(await rooms.credentials.set_policy(asker.actor.scope, found.id, policy))


@post(
    "/credentials/{credential_id:int}/rotate",
    status_code=200,
    opt={
        RIGHT: Right.CREDENTIALS_MANAGE,
        EXAMPLE: Example(_ISSUED, {"overlap_hours": 24}),
    },
    tags=["credentials"],
    summary="Renew a credential's password",
)
async def rotate_credential(
    credential_id: Id, data: JSONBody[Overlap], rooms: Behind, asker: WhoAsks
) -> Issued:
    """A new user name and password; the old ones work on for a while, so that nothing stops."""
    scope = asker.actor.scope
    found = await _find_to_change(rooms, asker, credential_id)
    owner = await rooms.tenants.by_id(scope, found.tenant_id)
    overlap = int(data.overlap_hours * clock.HOUR)
    return _issued(await rooms.credentials.rotate(scope, owner, found.id, overlap=overlap))


@delete(
    "/credentials/{credential_id:int}",
    status_code=200,
    opt={
        RIGHT: Right.CREDENTIALS_MANAGE,
        EXAMPLE: Example(_CREDENTIAL | {"state": "revoked", "revoked_at": "2026-11-21T10:00:00Z"}),
    },
    tags=["credentials"],
    summary="Revoke an SMTP credential",
)
async def revoke_credential(credential_id: Id, rooms: Behind, asker: WhoAsks) -> Credential:
    """Refused within a second, open sessions too; revoking twice is no error."""
    found = await _find_to_change(rooms, asker, credential_id)
    return _shown(await rooms.credentials.revoke(asker.actor.scope, found.id))


async def _find(rooms: Rooms, asker: Asker, credential_id: int) -> CredentialRecord:
    found = await rooms.credentials.get(asker.actor.scope, credential_id)
    if found.door is not Door.SMTP:
        raise NotFoundError(f"no SMTP credential has the id {credential_id}")
    return found


async def _find_to_change(rooms: Rooms, asker: Asker, credential_id: int) -> CredentialRecord:
    """Whoever tries things out neither sends for real by a detour nor stops what does."""
    found = await _find(rooms, asker, credential_id)
    if asker.actor.is_sandboxed and not found.policy.sandbox:
        raise ForbiddenError("a sandboxed key changes credentials of the sandbox alone")
    return found


async def _policy(
    rooms: Rooms, asker: Asker, wanted: PolicyShape, tenant_id: int, standing: Policy
) -> Policy:
    """What is asked for, if the asker may give it and the tenant may use its pool."""
    scope = asker.actor.scope
    if wanted.from_policy is FromPolicy.ANY is not standing.from_policy and not scope.is_system:
        raise ForbiddenError(
            "only the box's admin lets a credential send with any From", field="policy.from_policy"
        )
    if wanted.pool and wanted.pool != standing.pool:
        with in_field("policy.pool"):
            await rooms.pools.usable(scope, wanted.pool, tenant_id)
    policy = msgspec.convert(msgspec.to_builtins(wanted), Policy)
    return replace(policy, sandbox=policy.sandbox or asker.actor.is_sandboxed)


def _issued(issued: IssuedLogin) -> Issued:
    return Issued(
        credential=_shown(issued.credential),
        username=issued.username,
        password=issued.password,
    )


def _shown(one: CredentialRecord) -> Credential:
    return Credential(
        id=one.id,
        tenant_id=one.tenant_id,
        name=one.name,
        state="revoked" if one.revoked_at else "valid",
        policy=msgspec.convert(msgspec.to_builtins(one.policy), PolicyShape),
        logins=[
            LoginShape(
                username=login.username,
                created_at=moment(login.created_at),
                expires_at=moment(login.expires_at),
            )
            for login in one.logins
        ],
        created_at=moment(one.created_at),
        revoked_at=moment(one.revoked_at),
        last_used_at=moment(one.last_used_at),
        last_used_from=one.last_used_from,
        usual_per_hour=one.usual_per_hour,
    )


HANDLERS: Final[list[Any]] = [
    list_credentials,
    create_credential,
    show_credential,
    set_policy,
    rotate_credential,
    revoke_credential,
]
