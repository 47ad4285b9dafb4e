"""Guard: stands before every page of the console; a page without a right does not start.

    session -> may they (opt["right"]; opt["signed_in"]: everybody who is) -> how often -> the form's own proof

Who is nobody is sent to the sign-in page and comes back. A form carries the session's word (`csrf`) and whose
view it was made in (`view`): a page left open in one tenant's view changes nothing in another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException

from admin_ui.api.guard import COOKIE, RATE, READS, RIGHT, WRITES, Asker, method_of
from admin_ui.api.own import Own, client_of
from admin_ui.console.form import Form
from admin_ui.console.right_words import WORDS
from admin_ui.console.visit import Visit, with_form
from appliance.core.errors import ForbiddenError, TooManyError, UsageError

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from admin_ui.api.rates import Rates
    from admin_ui.rooms import Rooms
    from appliance.rights import Right

SIGNED_IN: Final = "signed_in"  # opt: for everybody who is, whatever they may
_SAFE: Final = frozenset({"GET", "HEAD"})
_MOST_FIELDS: Final = 2000
_MOST_PLAIN: Final = (
    1 << 20
)  # octets of a form without files: each field of it costs more in memory
_FOREIGN: Final = "this does not come from a page of this box: open the page again"
_OTHER_VIEW: Final = (
    "this page was made in another view, of a tenant or of the whole box: load it again"
)


class SignInNeededError(HTTPException):
    """Nobody is signed in; `back` is where they wanted to go."""

    status_code = 401

    def __init__(self, back: str) -> None:
        super().__init__(detail="sign in first")
        self.back = back


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let through or raise SignInNeededError, ForbiddenError, TooManyError, UsageError."""
    request = Request[Any, Any, Any](connection.scope, connection.receive)
    is_change = method_of(connection) not in _SAFE
    if connection.headers.get("sec-fetch-site", "") in ("cross-site", "same-site") and is_change:
        raise ForbiddenError(_FOREIGN)
    visit = await _visit(request)
    connection.scope["state"]["visit"] = visit
    # Who asks for what is not there is noted as on the API (admin_ui/api/strangers.py).
    connection.scope["state"]["asker"] = Asker(visit.actor, visit.own.client.address)
    _limit(connection.app.state.rates, visit, handler, is_change=is_change)
    if not handler.opt.get(SIGNED_IN):
        _allowed(visit, handler.opt[RIGHT])
    if is_change:
        form = await form_of(request)
        _proved(visit, form)
        connection.scope["state"]["visit"] = with_form(visit, form)


async def _visit(request: Request[Any, Any, Any]) -> Visit:
    state = request.app.state
    rooms: Rooms = state.rooms
    token = request.cookies.get(COOKIE, "")
    client = client_of(request)
    seen = await rooms.people.sessions.seen(token, client.address)
    if seen is None:
        raise SignInNeededError(_back(request))
    own = Own(seen, token, client)
    return Visit(own=own, rooms=rooms, stage=state.stage, request=request, mark=rooms.live.now())


def _back(request: Request[Any, Any, Any]) -> str:
    """A form's page is where it was sent from; its own address answers no GET."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}" if request.method in _SAFE else "/"


def _allowed(visit: Visit, right: Right) -> None:
    if not visit.may(right):
        raise ForbiddenError(
            f"this needs the right “{WORDS[right]}” ({right}): who manages the users can give you a role with it"
        )


def _limit(rates: Rates, visit: Visit, handler: BaseRouteHandler, *, is_change: bool) -> None:
    who = f"person {visit.own.seen.person_id}"
    rate = handler.opt.get(RATE) or (WRITES if is_change else READS)
    verdict = rates.take(who, handler.handler_name, rate)
    if not verdict.is_allowed:
        raise TooManyError(
            f"asked too often: ask again in {verdict.reset} s", seconds=verdict.reset
        )


def _proved(visit: Visit, form: Form) -> None:
    if not visit.rooms.people.sessions.csrf_matches(visit.own.token, form.said("csrf")):
        raise ForbiddenError(_FOREIGN)
    if form.said("view") != visit.view:
        raise ForbiddenError(_OTHER_VIEW)


async def form_of(request: Request[Any, Any, Any]) -> Form:
    """The fields of a form (urlencoded, or with files as multipart), bounded. Raises UsageError."""
    if request.content_type[0] == RequestEncodingType.URL_ENCODED and (
        len(await request.body()) > _MOST_PLAIN
    ):
        raise UsageError(f"the form is over {_MOST_PLAIN >> 20} MB")
    try:
        found = await request.form()
    except UnicodeDecodeError as error:
        raise UsageError("the form is no UTF-8") from error
    items = list(found.multi_items())
    if len(items) > _MOST_FIELDS:
        raise UsageError(f"the form has {len(items)} fields, at most {_MOST_FIELDS}")
    fields: dict[str, list[str]] = {}
    for name, value in items:
        fields.setdefault(name, []).append(await _text(name, value))
    return Form(fields)


async def _text(name: str, value: Any) -> str:
    if not hasattr(value, "read"):
        return str(value)
    octets: bytes = await value.read()
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the file is no text in UTF-8", field=name) from error


async def visit_of(request: Request[Any, Any, Any]) -> Visit:
    """For handlers: who visits."""
    visit: Visit = request.scope["state"]["visit"]
    return visit


def sign_in_path(back: str) -> str:
    """The sign-in page, with the way back."""
    return "/sign-in" if back == "/" else f"/sign-in?next={quote(back, safe='')}"
