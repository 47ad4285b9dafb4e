"""Errors: one table from the box's errors to HTTP, and one shape for all that goes wrong (RFC 9457).

    {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "it holds a line break",
     "errors": [{"field": "to[0].name", "detail": "it holds a line break"}]}

What the asker did wrong is told in the error's own words, and `errors` names the fields. What is wrong
inside the box is told in bland ones, and in full in the log.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from appliance.core.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    NotRunningError,
    PillarboxError,
    ReusedKeyError,
    SecretError,
    SignInError,
    StoreError,
    StoreFullError,
    TooManyError,
    UsageError,
)
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from litestar.types import ExceptionHandlersMap

STATUS: Final[Mapping[type[PillarboxError], int]] = {
    PillarboxError: 500,
    ConfigError: 500,
    SecretError: 500,
    UsageError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    ForbiddenError: 403,
    ReusedKeyError: 422,
    SignInError: 401,
    TooManyError: 429,
    NotRunningError: 503,
    StoreError: 503,
    StoreFullError: 507,
    Refused: 422,
}
"""The nearest ancestor in the table decides."""

NOT_AVAILABLE: Final = {
    "account": "connected accounts",
    "template": "templates",
    "template_data": "templates",
    "track": "tracking",
    "track_clicks": "tracking",
    "track_opens": "tracking",
}
"""Fields of rooms that this version does not have."""

_PLACE: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
INSIDE: Final = "the box cannot do this now; its log says why"
_log = logging.getLogger(__name__)


def status_of(error: PillarboxError) -> int:
    """The HTTP status of one of the box's errors."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def _own(request: Request[Any, Any, Any], error: PillarboxError) -> Response[Any]:
    status = status_of(error)
    if status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error)
        return problem(status, INSIDE)
    headers = {}
    if isinstance(error, TooManyError):
        headers["Retry-After"] = str(error.seconds)
    if isinstance(error, SignInError):
        headers["WWW-Authenticate"] = 'Bearer realm="pillarbox"'
    field = error.field if isinstance(error, UsageError) else ""
    return problem(status, str(error), [(field, str(error))] if field else (), headers)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.status_code >= 500:  # how Litestar wraps its own failures
        return _crash(request, error)
    found = _fields_of(error)
    words = found[0][1] if found else error.detail
    return problem(error.status_code, words, found, error.headers)


def _fields_of(error: HTTPException) -> list[tuple[str, str]]:
    """Which fields of the request are wrong, as far as the error says it."""
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        return [_told(one) for one in error.extra]
    field, words = field_of(error.detail)
    return [(field, words)] if field else []


def _told(one: Mapping[str, Any]) -> tuple[str, str]:
    """Litestar names the field, but of what concerns the body as a whole it says "data"."""
    key, words = str(one.get("key", "")), str(one.get("message", ""))
    return field_of(words) if key in ("", "data") else (key, words)


def field_of(words: str) -> tuple[str, str]:
    """Field and words of what msgspec says: "Expected `str`, got `int` - at `$.to[0]`"."""
    place = _PLACE.search(words)
    bare = _PLACE.sub("", words)
    unknown, missing = _UNKNOWN.search(bare), _MISSING.search(bare)
    named = unknown or missing
    parts = [place[1].lstrip(".") if place else "", named[1] if named else ""]
    field = ".".join(part for part in parts if part)
    if unknown and unknown[1] in NOT_AVAILABLE:
        bare = f"not available: this box has no {NOT_AVAILABLE[unknown[1]]}; leave {field} out"
    return field, bare


def _crash(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("%s %s crashed", request.method, request.url.path, exc_info=error)
    return problem(500, INSIDE)


def _too_deep(_request: Request[Any, Any, Any], _error: RecursionError) -> Response[Any]:
    return problem(400, "the JSON is nested too deeply")


def _no_text(_request: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[Any]:
    """What a client sends is the only text that is decoded while a request is served."""
    return problem(400, f"the body is no UTF-8: octet {error.start} of a text in it is wrong")


def problem(
    status: int,
    detail: str,
    fields: Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[dict[str, Any]]:
    """An answer that says what is wrong (RFC 9457)."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    errors = [{"field": field, "detail": words} for field, words in fields]
    if errors:
        content["errors"] = errors
    return Response(
        content,
        status_code=status,
        media_type="application/problem+json",
        headers=dict(headers or {}),
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    PillarboxError: _own,
    HTTPException: _http,
    RecursionError: _too_deep,
    UnicodeDecodeError: _no_text,
    Exception: _crash,
}
