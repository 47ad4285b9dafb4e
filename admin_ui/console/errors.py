"""Errors, as pages: the same table of statuses as the API's (admin_ui/errors.py), with the way on.

A page that cannot be shown says why and what to do. A form that could not be carried out leads back to its
page, where a toast says why; but for one whose proof was wrong, which leads nowhere.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from admin_ui.console.guard import SignInNeededError, sign_in_path
from admin_ui.console.visit import Visit, html, theme_of
from admin_ui.errors import HANDLERS, INSIDE, status_of
from appliance.core.errors import (
    ForbiddenError,
    NotRunningError,
    PillarboxError,
    SignInError,
    TooManyError,
)

if TYPE_CHECKING:
    from litestar.types import ExceptionHandlersMap

_TITLES: Final = {
    400: "This cannot be read",
    403: "This is not for you",
    404: "There is no such page",
    405: "This address is for forms only",
    409: "Something else was faster",
    413: "This is too large",
    429: "Asked too often",
    500: "Something failed inside the box",
    503: "A part of the box does not answer",
    507: "The disk is full",
}
_WAYS: Final = {
    404: "It may have been removed, or it belongs to another tenant.",
    405: "Go back to the page that you came from.",
    429: "Wait a little, then load the page again.",
    500: "Load the page again. If it stays so, tell who runs the box when it happened.",
    503: "Load the page again in a minute. If it stays so, `pillarbox doctor` tells who runs the box what is wrong.",
}
_PASSING: Final = frozenset({429, 500, 503})  # it may be right the next time
_log = logging.getLogger(__name__)


def _own(request: Request[Any, Any, Any], error: PillarboxError) -> Response[Any]:
    status = status_of(error)
    if isinstance(error, SignInError):
        return _to_sign_in(request, "/")
    if status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error)
    visit: Visit | None = request.scope.get("state", {}).get("visit")
    if visit is not None and visit.form.said("csrf") and not isinstance(error, ForbiddenError):
        return visit.refused(error)
    seconds = str(error.seconds) if isinstance(error, TooManyError) else ""
    return error_page(
        request, status, _told(error, status), {"Retry-After": seconds} if seconds else {}
    )


def _told(error: PillarboxError, status: int) -> str:
    """Of what is wrong inside the box the log tells more than a page may."""
    if isinstance(error, NotRunningError):
        return ""  # the title says it
    return INSIDE if status == HTTPStatus.INTERNAL_SERVER_ERROR else str(error)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if isinstance(error, SignInNeededError):
        return _to_sign_in(request, error.back)
    if error.status_code >= 500:
        return _crash(request, error)
    return error_page(request, error.status_code, _words_of(error))


def _words_of(error: HTTPException) -> str:
    """What is wrong with the address; the framework's own words say it to programs."""
    if isinstance(error, ValidationException):
        return "The address asks for something that this page does not know."
    is_bare = error.detail == HTTPStatus(error.status_code).phrase
    return "" if is_bare or error.status_code == 404 else error.detail


def _crash(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("%s %s crashed", request.method, request.url.path, exc_info=error)
    return error_page(request, 500, INSIDE)


def _to_sign_in(request: Request[Any, Any, Any], back: str) -> Response[bytes]:
    where = sign_in_path(back)
    if "hx-request" in request.headers:  # a part of a page cannot be the sign-in page
        return Response(b"", status_code=401, headers={"HX-Redirect": where})
    return Response(b"", status_code=303, headers={"Location": where})


def error_page(
    request: Request[Any, Any, Any],
    status: int,
    words: str,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """A page that says what is wrong."""
    text = request.app.state.stage.render(
        "error.html",
        status=status,
        title=_title(request, status),
        words=words,
        way=_WAYS.get(status, ""),
        again=_again(request) if status in _PASSING else "",
        theme=theme_of(request),
    )
    answer = html(request, text, status)
    answer.headers |= headers or {}
    return answer


def _title(request: Request[Any, Any, Any], status: int) -> str:
    if status == HTTPStatus.FORBIDDEN and request.method == "POST":
        return "Nothing was changed"
    return _TITLES.get(status, HTTPStatus(status).phrase)


def _again(request: Request[Any, Any, Any]) -> str:
    """The address of the page itself; "" for a form, which is not to be sent a second time."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}" if request.method == "GET" else ""


PAGES: Final[ExceptionHandlersMap] = {
    PillarboxError: _own,
    HTTPException: _http,
    Exception: _crash,
}
"""For the routes of the console."""


def for_people(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """For what no route has: a page for browsers, the API's answer for programs."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if wants_page and not request.url.path.startswith("/api/"):
        handlers: Any = PAGES
    else:
        handlers = HANDLERS
    found = next(handlers[cls] for cls in type(error).__mro__ if cls in handlers)
    answer: Response[Any] = found(request, error)
    return answer


EVERYWHERE: Final[ExceptionHandlersMap] = dict.fromkeys(HANDLERS, for_people)
"""For the whole application."""
