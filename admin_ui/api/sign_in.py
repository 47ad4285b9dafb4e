"""Signing in and out, for the console's pages: password, code, passkey, an issuer, links that came by mail.

Every answer to who fails is the room's, which is the same in every case; here is only its form in HTTP.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect
from msgspec import Meta

from admin_ui.api.guard import COOKIE
from admin_ui.api.own import (
    DEPARTURE,
    OPT,
    Entry,
    client_of,
    departure_cookie,
    entry_of,
    pages,
    session_cookie,
    ticket_cookie,
)
from admin_ui.console.visit import Toast, toast_cookie
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.people import Opened
from appliance.people.rules import MOST_PASSWORD

Email = Annotated[str, Meta(max_length=320)]
Password = Annotated[str, Meta(max_length=MOST_PASSWORD)]
Token = Annotated[str, Meta(max_length=128)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page sends."""


class Known(_Body, frozen=True, kw_only=True):
    """What somebody knows."""

    email: Email
    password: Password


class Code(_Body, frozen=True, kw_only=True):
    """The second step."""

    ticket: Token
    code: Annotated[str, Meta(max_length=64)]


class Credential(_Body, frozen=True, kw_only=True):
    """What a passkey signed."""

    ticket: Token
    credential: dict[str, Any]


class Address(_Body, frozen=True, kw_only=True):
    """Whose password is forgotten."""

    email: Email


class NewPassword(_Body, frozen=True, kw_only=True):
    """A password, by a link."""

    token: Token
    password: Password


class Link(_Body, frozen=True, kw_only=True):
    """A link that came by mail."""

    token: Token


class Accepting(_Body, frozen=True, kw_only=True):
    """An invitation that is accepted; who has an account gives the token alone."""

    token: Token
    name: Annotated[str, Meta(max_length=200)] = ""
    password: Password = ""


class Welcome(_Body, frozen=True, kw_only=True):
    """The first admin."""

    token: Token
    email: Email
    name: Annotated[str, Meta(max_length=200)]
    password: Password


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser needs for a passkey."""

    ticket: str
    options: dict[str, Any]


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """What an invitation is to."""

    email: str
    role: str
    has_account: bool
    expires_at: str


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """By whom people may sign in besides."""

    oidc: list[str]


@get("/sign-in", opt=OPT, guards=[pages])
async def ways(rooms: Behind) -> Ways:
    """For the sign-in page."""
    return Ways(oidc=list(rooms.people.single_sign_on.names))


@post("/sign-in", status_code=200, opt=OPT, guards=[pages])
async def with_password(
    data: JSONBody[Known], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[Entry]:
    """The first step."""
    found = await rooms.people.sign_in.with_password(data.email, data.password, client_of(request))
    return entry_of(rooms, found)


@post("/sign-in/second-factor", status_code=200, opt=OPT, guards=[pages])
async def with_code(
    data: JSONBody[Code], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[Entry]:
    """The second step."""
    found = await rooms.people.sign_in.with_code(data.ticket, data.code, client_of(request))
    return entry_of(rooms, found)


@post("/sign-in/passkey/options", status_code=200, opt=OPT, guards=[pages])
async def passkey_options(rooms: Behind, request: Request[Any, Any, Any]) -> Asked:
    """What navigator.credentials.get() needs."""
    asked = await rooms.people.passkeys.begin_sign_in(client_of(request))
    return Asked(ticket=asked.ticket, options=dict(asked.options))


@post("/sign-in/passkey", status_code=200, opt=OPT, guards=[pages])
async def with_passkey(
    data: JSONBody[Credential], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[Entry]:
    """What navigator.credentials.get() answered."""
    found = await rooms.people.passkeys.sign_in(data.ticket, data.credential, client_of(request))
    return entry_of(rooms, found)


@post("/sign-in/oidc/{name:str}", status_code=200, opt=OPT, guards=[pages])
async def depart(
    name: FromPath[str], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[dict[str, str]]:
    """Where the page sends the browser to."""
    departure = await rooms.people.single_sign_on.depart(name, client_of(request))
    kept = departure_cookie(rooms, departure.ticket)
    return Response({"url": departure.url}, cookies=[kept])


@get("/sign-in/oidc/{name:str}/callback", opt=OPT)
async def arrive(name: FromPath[str], rooms: Behind, request: Request[Any, Any, Any]) -> Redirect:
    """The browser is back, from another site, which is why no guard of pages stands here.

    Whoever is refused finds out on the page they left from.
    """
    gone = departure_cookie(rooms, "")
    ticket, said = request.cookies.get(DEPARTURE, ""), request.query_params
    try:
        found = await rooms.people.single_sign_on.arrive(
            name,
            client_of(request),
            ticket=ticket,
            state=str(said.get("state", "")),  # no parameter: Litestar means something else by it
            code=str(said.get("code", "")),
        )
    except UsageError as error:
        told = toast_cookie(Toast(kind="error", title="Not signed in", text=str(error)))
        return Redirect("/sign-in", status_code=303, cookies=[gone, told])
    if isinstance(found, Opened):
        return Redirect("/", status_code=303, cookies=[gone, session_cookie(rooms, found)])
    # In a cookie nothing of it reaches a server's log or a Referer.
    kept = ticket_cookie(rooms, found)
    return Redirect("/sign-in/code", status_code=303, cookies=[gone, kept])


@post("/sign-out", status_code=204, opt=OPT, guards=[pages])
async def sign_out(rooms: Behind, request: Request[Any, Any, Any]) -> Response[None]:
    """End the session, if there is one."""
    await rooms.people.sessions.sign_out(request.cookies.get(COOKIE, ""))
    return Response(None, status_code=204, cookies=[session_cookie(rooms, None)])


@post("/password/forgotten", status_code=202, opt=OPT, guards=[pages])
async def forgotten(
    data: JSONBody[Address], rooms: Behind, request: Request[Any, Any, Any]
) -> dict[str, str]:
    """The same answer whether anybody has the address or not, and as fast."""
    await rooms.people.password_links.ask(data.email, client_of(request))
    return {"detail": "if the address has an account, a letter with a link is on its way"}


@post("/password/reset", status_code=200, opt=OPT, guards=[pages])
async def reset(
    data: JSONBody[NewPassword], rooms: Behind, request: Request[Any, Any, Any]
) -> dict[str, str]:
    """A new password by the link; signing in with it comes next."""
    address = client_of(request).address
    return {"email": await rooms.people.password_links.use(data.token, data.password, address)}


@post("/invitations/look", status_code=200, opt=OPT, guards=[pages])
async def look(data: JSONBody[Link], rooms: Behind) -> Invited:
    """For the page behind the link."""
    asked, has_account = await rooms.people.invitations.look(data.token)
    return Invited(
        email=asked.email,
        role=asked.role,
        has_account=has_account,
        expires_at=clock.iso(asked.expires_at),
    )


@post("/invitations/accept", status_code=200, opt=OPT, guards=[pages])
async def accept(
    data: JSONBody[Accepting], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[Entry]:
    """Come in."""
    opened = await rooms.people.invitations.accept(
        data.token, client_of(request), name=data.name, password=data.password
    )
    return entry_of(rooms, opened) if opened else Response(Entry(state="account-exists"))


@post("/welcome", status_code=200, opt=OPT, guards=[pages])
async def welcome(
    data: JSONBody[Welcome], rooms: Behind, request: Request[Any, Any, Any]
) -> Response[Entry]:
    """Become the first admin."""
    opened = await rooms.people.first_admin.welcome(
        data.token,
        client_of(request),
        email=data.email,
        name=data.name,
        password=data.password,
    )
    return entry_of(rooms, opened)


HANDLERS: Final[list[Any]] = [
    ways,
    with_password,
    with_code,
    passkey_options,
    with_passkey,
    depart,
    arrive,
    sign_out,
    forgotten,
    reset,
    look,
    accept,
    welcome,
]
ROUTES: Final = Router(
    "/",
    route_handlers=HANDLERS,
    include_in_schema=False,
)
