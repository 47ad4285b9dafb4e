"""One's own account, for the console's pages: sessions, whose view one sees, password, codes, passkeys."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import Provide
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.nouns import Id
from admin_ui.api.own import OPT, Entry, Myself, entry_of, own_of, signed_in
from admin_ui.api.sign_in import Asked, Password, Token
from admin_ui.rooms import Behind
from appliance.core import clock


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page sends."""


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in, and what they may."""

    email: str
    name: str
    rights: list[str]
    tenant: str  # whose view it is; "" = the whole box
    tenant_id: int  # the same; 0 = the whole box
    tenant_ids: list[int]  # of which somebody is a member
    is_visiting: bool  # somebody of the box in a tenant's view
    csrf: str
    expires_at: str
    has_password: bool
    has_second_factor: bool
    recovery_codes_left: int


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of one's sessions."""

    id: int
    created_at: str
    seen_at: str
    address: str
    agent: str
    is_this: bool


class View(_Body, frozen=True, kw_only=True):
    """Whose rows are to be seen."""

    tenant_id: Annotated[int, Meta(ge=0, description="0: the whole box.")] = 0


class Change(_Body, frozen=True, kw_only=True):
    """A new password for the old one."""

    old: Password
    new: Password


class Again(_Body, frozen=True, kw_only=True):
    """The password again, before something that changes how one signs in."""

    password: Password = ""


class Confirmation(_Body, frozen=True, kw_only=True):
    """The first code of a new second factor."""

    ticket: Token
    code: Annotated[str, Meta(max_length=64)]


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A new second factor."""

    ticket: str
    secret: str
    uri: str


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery codes, shown this once."""

    recovery_codes: list[str]


class NewPasskey(_Body, frozen=True, kw_only=True):
    """What the browser made."""

    ticket: Token
    credential: dict[str, Any]
    name: Annotated[str, Meta(max_length=200)]


class PasskeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey."""

    id: int
    name: str
    created_at: str
    used_at: str | None


class Name(_Body, frozen=True, kw_only=True):
    """A name."""

    name: Annotated[str, Meta(max_length=200)]


@get("/session")
async def me(own: Myself, rooms: Behind) -> Me:
    """Who is signed in."""
    account, seen = rooms.people.account, own.seen
    user = await account.user(seen)
    found = await rooms.tenants.list(seen.actor.scope) if seen.tenant_id else ()
    return Me(
        email=user.email,
        name=user.name,
        rights=sorted(seen.actor.rights),
        tenant=found[0].name if found else "",
        tenant_id=seen.tenant_id,
        tenant_ids=[one.tenant_id for one in user.memberships],
        is_visiting=seen.is_visiting,
        csrf=seen.csrf,
        expires_at=clock.iso(seen.expires_at),
        has_password=user.has_password,
        has_second_factor=user.has_second_factor,
        recovery_codes_left=await account.recovery_codes_left(seen),
    )


@post("/session/view", status_code=200)
async def view(data: JSONBody[View], own: Myself, rooms: Behind) -> Response[Entry]:
    """See a tenant's rows, or the whole box's again. The cookie changes."""
    opened = await rooms.people.sessions.enter(own.token, data.tenant_id, own.client.address)
    return entry_of(rooms, opened)


@get("/sessions")
async def sessions(own: Myself, rooms: Behind) -> list[SessionRow]:
    """One's sessions, the latest used first."""
    return [
        SessionRow(
            id=one.id,
            created_at=clock.iso(one.created_at),
            seen_at=clock.iso(one.seen_at),
            address=one.address,
            agent=one.agent,
            is_this=one.is_this,
        )
        for one in await rooms.people.sessions.list(own.token)
    ]


@delete("/sessions/{session_id:int}", status_code=204)
async def end_session(session_id: Id, own: Myself, rooms: Behind) -> None:
    """End one of one's sessions."""
    await rooms.people.sessions.end(own.token, session_id)


@delete("/sessions", status_code=200)
async def end_others(own: Myself, rooms: Behind) -> dict[str, int]:
    """End all of one's sessions but this one."""
    return {"ended": await rooms.people.sessions.end_others(own.token)}


@post("/account/name", status_code=200)
async def rename(data: JSONBody[Name], own: Myself, rooms: Behind) -> dict[str, str]:
    """Change one's name."""
    return {"name": (await rooms.people.account.rename(own.seen, data.name)).name}


@post("/account/password", status_code=200)
async def change_password(data: JSONBody[Change], own: Myself, rooms: Behind) -> Response[Entry]:
    """A new password; all other sessions end and the cookie changes."""
    opened = await rooms.people.account.change_password(
        own.seen, own.token, own.client, old=data.old, new=data.new
    )
    return entry_of(rooms, opened)


@post("/account/second-factor", status_code=200)
async def begin_second_factor(data: JSONBody[Again], own: Myself, rooms: Behind) -> Secret:
    """A secret for the telephone."""
    new = await rooms.people.account.begin_second_factor(
        own.seen, own.client, password=data.password
    )
    return Secret(ticket=new.ticket, secret=new.secret, uri=new.uri)


@post("/account/second-factor/confirm", status_code=200)
async def confirm_second_factor(data: JSONBody[Confirmation], own: Myself, rooms: Behind) -> Codes:
    """Its first code; from now on one is asked for."""
    found = await rooms.people.account.confirm_second_factor(own.seen, data.ticket, data.code)
    return Codes(recovery_codes=list(found))


@post("/account/second-factor/drop", status_code=204)
async def drop_second_factor(data: JSONBody[Again], own: Myself, rooms: Behind) -> None:
    """Be asked for no code any more."""
    await rooms.people.account.drop_second_factor(own.seen, own.client, password=data.password)


@post("/account/recovery-codes", status_code=200)
async def recovery_codes(data: JSONBody[Again], own: Myself, rooms: Behind) -> Codes:
    """New ones in the place of all former."""
    found = await rooms.people.account.new_recovery_codes(
        own.seen, own.client, password=data.password
    )
    return Codes(recovery_codes=list(found))


@get("/account/passkeys")
async def passkeys(own: Myself, rooms: Behind) -> list[PasskeyRow]:
    """One's passkeys."""
    return [
        PasskeyRow(
            id=one.id,
            name=one.name,
            created_at=clock.iso(one.created_at),
            used_at=clock.iso(one.used_at) if one.used_at else None,
        )
        for one in await rooms.people.account.passkeys(own.seen)
    ]


@post("/account/passkeys/options", status_code=200)
async def passkey_options(data: JSONBody[Again], own: Myself, rooms: Behind) -> Asked:
    """What navigator.credentials.create() needs."""
    asked = await rooms.people.account.begin_passkey(own.seen, own.client, password=data.password)
    return Asked(ticket=asked.ticket, options=dict(asked.options))


@post("/account/passkeys", status_code=201)
async def add_passkey(data: JSONBody[NewPasskey], own: Myself, rooms: Behind) -> dict[str, int]:
    """What navigator.credentials.create() answered."""
    made = await rooms.people.account.add_passkey(
        own.seen, ticket=data.ticket, answer=data.credential, name=data.name
    )
    return {"id": made}


@post("/account/passkeys/{passkey_id:int}/remove", status_code=204)
async def remove_passkey(passkey_id: Id, data: JSONBody[Again], own: Myself, rooms: Behind) -> None:
    """Forget one."""
    await rooms.people.account.remove_passkey(
        own.seen, own.client, passkey_id=passkey_id, password=data.password
    )


HANDLERS: Final[list[Any]] = [
    me,
    view,
    sessions,
    end_session,
    end_others,
    rename,
    change_password,
    begin_second_factor,
    confirm_second_factor,
    drop_second_factor,
    recovery_codes,
    passkeys,
    passkey_options,
    add_passkey,
    remove_passkey,
]
ROUTES: Final = Router(
    "/",
    route_handlers=HANDLERS,
    opt=OPT,
    guards=[signed_in],
    dependencies={"own": Provide(own_of)},
    include_in_schema=False,
)
