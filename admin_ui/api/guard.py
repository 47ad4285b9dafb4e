"""Guard: stands before every route of the API; a route without a right does not start.

    who (key or session) -> may they (opt["right"]) -> how often (opt["rate"]) -> the handler

A key comes as `Authorization: Bearer pbk_...`; a session as the console's cookie, and then a request that
changes something must carry the session's own word in X-CSRF-Token. Nothing of the body is read before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.access import address_of
from admin_ui.api.rates import Rate, Rates, Verdict
from admin_ui.rooms import Rooms
from appliance.core.errors import ForbiddenError, SignInError, TooManyError
from appliance.rights import Actor, Right

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from appliance.keys import ApiKey

COOKIE: Final = "pillarbox"
CSRF_HEADER: Final = "x-csrf-token"
RIGHT: Final = "right"
RATE: Final = "rate"
PUBLIC: Final = "public"  # opt: needs neither key nor session
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOBODY: Final = "say who you are: send Authorization: Bearer and an API key, or sign in"

READS: Final = Rate(50, 200, "reads")
WRITES: Final = Rate(10, 60, "writes")
SENDS: Final = Rate(2000, 4000, "sends")
"""As they are where the section [api] of the configuration does not say otherwise."""

_TENANT_TIMES: Final = 4
"""A tenant may ask so many times what one of its keys may."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the handlers see them."""

    actor: Actor
    address: str
    key: ApiKey | None = None


WhoAsks: TypeAlias = NamedDependency[SkipValidation[Asker]]
"""What a handler asks for."""


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let through or raise SignInError, ForbiddenError, TooManyError."""
    if handler.opt.get(PUBLIC) or method_of(connection) == "OPTIONS":
        return
    right: Right = handler.opt[RIGHT]
    rooms: Rooms = connection.app.state.rooms
    asker = await _asker(connection, rooms)
    asker.actor.require(right)
    connection.state.asker = asker
    rate = handler.opt.get(RATE) or (READS if method_of(connection) in _SAFE else WRITES)
    connection.state.verdict = _take(connection.app.state.rates, asker, handler, rate)


async def _asker(connection: ASGIConnection[Any, Any, Any, Any], rooms: Rooms) -> Asker:
    address = address_of(connection)
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer":
            raise SignInError(_NOBODY)
        actor, key = rooms.book.find(token.strip(), address)
        return Asker(actor, address, key)
    cookie = connection.cookies.get(COOKIE, "")
    person = await rooms.sessions.actor_of(cookie, address) if cookie else None
    if person is None:
        raise SignInError(_NOBODY)
    if method_of(connection) not in _SAFE and not rooms.sessions.csrf_matches(
        cookie, connection.headers.get(CSRF_HEADER, "")
    ):
        raise ForbiddenError("this change does not come from a page of yours: load the page again")
    return Asker(person, address)


def method_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """GET, POST, ...; "GET" for what is no HTTP request."""
    return str(connection.scope.get("method", "GET"))


def _take(rates: Rates, asker: Asker, handler: BaseRouteHandler, rate: Rate) -> Verdict:
    """The key's share and the tenant's; the closer one is told."""
    actor, what = asker.actor, handler.handler_name
    tenant = rates.of(rate).times(_TENANT_TIMES)
    own = rates.take(f"{actor.kind} {actor.id}", what, rate)
    if not own.is_allowed:
        raise _too_many(own)
    whole = rates.take(f"tenant {actor.scope.tenant_id}", what, tenant)
    if not whole.is_allowed:
        raise _too_many(whole)
    return own


def _too_many(verdict: Verdict) -> TooManyError:
    return TooManyError(f"asked too often: ask again in {verdict.reset} s", seconds=verdict.reset)


async def asker_of(request: Request[Any, Any, Any]) -> Asker:
    """For handlers: who asks."""
    asker: Asker = request.state.asker
    return asker


async def add_rates(message: Any, scope: Any) -> None:
    """Litestar calls it with each message on its way out: the headers of the rate."""
    if message["type"] != "http.response.start":
        return
    verdict: Verdict | None = scope.get("state", {}).get("verdict")
    if verdict is not None:
        message["headers"] = [
            *message["headers"],
            (b"ratelimit-limit", b"%d" % verdict.limit),
            (b"ratelimit-remaining", b"%d" % verdict.remaining),
            (b"ratelimit-reset", b"%d" % verdict.reset),
        ]
