"""Access: who may read what describes the inside of the box (metrics, details of health).

Programs of this machine, and who knows the token `metrics.token`. A request that a proxy passed on
comes from loopback too, but on behalf of somebody else: with a forwarding header it needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from litestar.exceptions import NotAuthorizedException

if TYPE_CHECKING:
    from litestar import Request
    from litestar.connection import ASGIConnection

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def is_insider(request: Request[Any, Any, Any], token: str) -> bool:
    """Whether the inside may be shown."""
    return _has_token(request, token) or _is_local(request)


def require_insider(request: Request[Any, Any, Any], token: str) -> None:
    """Raise 401 for everybody else."""
    if not is_insider(request, token):
        raise NotAuthorizedException(
            "ask from this machine, or with the token of metrics.token",
            headers={"WWW-Authenticate": 'Bearer realm="pillarbox"'},
        )


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Where a request comes from, in one form; "" for what is no address (a header may say anything)."""
    try:
        address = ipaddress.ip_address(connection.client.host if connection.client else "")
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _has_token(request: Request[Any, Any, Any], token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return bool(token) and scheme.lower() == "bearer" and same


def _is_local(request: Request[Any, Any, Any]) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
