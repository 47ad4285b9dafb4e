"""Errors: one table from the box's errors to HTTP, and one shape for all that goes wrong (RFC 9457).

    {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such domain: ..."}

What the asker did wrong is told in the error's own words. What is wrong inside the box is told in
bland ones, and in full in the log.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException

from appliance.core.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    NotRunningError,
    PillarboxError,
    SecretError,
    StoreError,
    StoreFullError,
    UsageError,
)
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ExceptionHandlersMap

STATUS: Final[Mapping[type[PillarboxError], int]] = {
    PillarboxError: 500,
    ConfigError: 500,
    SecretError: 500,
    UsageError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    NotRunningError: 503,
    StoreError: 503,
    StoreFullError: 507,
    Refused: 422,
}
"""The nearest ancestor in the table decides."""

_INSIDE: Final = "the box cannot do this now; its log says why"
_log = logging.getLogger(__name__)


def status_of(error: PillarboxError) -> int:
    """The HTTP status of one of the box's errors."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def _own(request: Request[Any, Any, Any], error: PillarboxError) -> Response[Any]:
    status = status_of(error)
    if status < 500:
        return _response(status, str(error))
    _log.error("%s %s: %s", request.method, request.url.path, error)
    return _response(status, _INSIDE)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.status_code >= 500:  # how Litestar wraps its own failures
        return _crash(request, error)
    return _response(error.status_code, error.detail, error.headers)


def _crash(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("%s %s crashed", request.method, request.url.path, exc_info=error)
    return _response(500, _INSIDE)


def _response(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response[dict[str, Any]]:
    return Response(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        },
        status_code=status,
        media_type="application/problem+json",
        headers=dict(headers or {}),
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    PillarboxError: _own,
    HTTPException: _http,
    Exception: _crash,
}
