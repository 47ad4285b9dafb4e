"""Own: what the routes of signing in, and of one's own account, have in common.

They are for the console's pages, with the cookie of a session: an API key opens none of them, and they are not
part of the described API. Two guards:

pages      for those who are nobody yet: a request that another site's page makes is refused, and one client
           asks so often and not more
signed_in  for those with a session: and what changes something carries the session's own word
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.access import address_of
from admin_ui.api.guard import COOKIE, CSRF_HEADER, PUBLIC, method_of
from admin_ui.api.rates import Rate
from admin_ui.rooms import Rooms
from appliance.core import clock
from appliance.core.errors import ForbiddenError, SignInError, TooManyError
from appliance.people import Client, Opened, SecondFactorNeeded, Seen, SignedIn
from appliance.people.rules import DEPARTURE_LIFE
from mta.submission.login import network_of

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from admin_ui.api.rates import Rates

TICKET: Final = "pillarbox_ticket"
"""The cookie between the first and the second step of a sign-in on the console's pages."""

DEPARTURE: Final = "pillarbox_departure"
"""The cookie of who is away at an issuer."""

_DEPARTURE_PATH: Final = "/api/v1/sign-in/oidc"
ASKED: Final = Rate(1, 30)
"""Of one client and one route, before anybody knows who it is."""

OPT: Final = {PUBLIC: True}  # neither a key nor a right: the guards below say who may
_SAFE: Final = frozenset({"GET", "HEAD"})
_FOREIGN: Final = "this does not come from a page of this box: open the page again"


@dataclass(frozen=True, slots=True)
class Own:
    """Who asks, and with which session."""

    seen: Seen
    token: str
    client: Client


Myself: TypeAlias = NamedDependency[SkipValidation[Own]]
"""What a handler asks for."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sign-in has come."""

    state: Literal["signed-in", "code-needed", "account-exists"]
    expires_at: str = ""
    csrf: str = ""  # goes into X-CSRF-Token of every request that changes something
    ticket: str = ""  # goes back with the code


async def pages(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise ForbiddenError or TooManyError."""
    _same_site(connection)
    rates: Rates = connection.app.state.rates
    client = network_of(address_of(connection))
    verdict = rates.take(f"client {client}", handler.handler_name, ASKED)
    if not verdict.is_allowed:
        raise TooManyError(
            f"asked too often: ask again in {verdict.reset} s", seconds=verdict.reset
        )


async def signed_in(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise SignInError or ForbiddenError."""
    _same_site(connection)
    rooms: Rooms = connection.app.state.rooms
    token = connection.cookies.get(COOKIE, "")
    client = client_of(connection)
    seen = await rooms.people.sessions.seen(token, client.address)
    if seen is None:
        raise SignInError("sign in first")
    given = connection.headers.get(CSRF_HEADER, "")
    if method_of(connection) not in _SAFE and not rooms.people.sessions.csrf_matches(token, given):
        raise ForbiddenError(_FOREIGN)
    connection.state.own = Own(seen, token, client)


def _same_site(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Browsers say where a request comes from; who is no browser says nothing, and has no cookie."""
    if connection.headers.get("sec-fetch-site", "") in ("cross-site", "same-site"):
        raise ForbiddenError(_FOREIGN)


async def own_of(request: Request[Any, Any, Any]) -> Own:
    """For handlers: who asks."""
    own: Own = request.state.own
    return own


def client_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Client:
    """Where a request comes from, and the session it came with."""
    return Client(
        address=address_of(connection),
        agent=connection.headers.get("user-agent", ""),
        token=connection.cookies.get(COOKIE, ""),
    )


def entry_of(rooms: Rooms, found: SignedIn) -> Response[Entry]:
    """The answer to a step of signing in, with the cookie if that was the last one."""
    if isinstance(found, SecondFactorNeeded):
        asked = Entry(
            state="code-needed", ticket=found.ticket, expires_at=clock.iso(found.expires_at)
        )
        return Response(asked)
    entry = Entry(state="signed-in", csrf=found.csrf, expires_at=clock.iso(found.expires_at))
    return Response(entry, cookies=[session_cookie(rooms, found)])


def session_cookie(rooms: Rooms, opened: Opened | None) -> Cookie:
    """The cookie of a session; None takes it away."""
    if opened is None:
        return cookie(rooms, COOKIE, "", max_age=0)
    age = max(0, opened.expires_at - clock.now_ms()) // clock.SECOND
    return cookie(rooms, COOKIE, opened.token, max_age=age)


def ticket_cookie(rooms: Rooms, needed: SecondFactorNeeded | None) -> Cookie:
    """The cookie between two steps; None takes it away."""
    if needed is None:
        return cookie(rooms, TICKET, "", max_age=0, path="/sign-in")
    age = max(0, needed.expires_at - clock.now_ms()) // clock.SECOND
    return cookie(rooms, TICKET, needed.ticket, max_age=age, path="/sign-in")


def departure_cookie(rooms: Rooms, ticket: str) -> Cookie:
    """The cookie of a departure; "" takes it away."""
    age = DEPARTURE_LIFE // clock.SECOND if ticket else 0
    return cookie(rooms, DEPARTURE, ticket, max_age=age, path=_DEPARTURE_PATH)


def cookie(rooms: Rooms, name: str, value: str, *, max_age: int, path: str = "/") -> Cookie:
    """A cookie that no script reads and no other site sends along with a change."""
    return Cookie(
        name,
        value=value,
        path=path,
        max_age=max_age,
        httponly=True,
        secure=rooms.people.options.public_url.startswith("https:"),
        samesite="lax",
    )
