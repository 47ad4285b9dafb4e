"""HTTPS to names that strangers publish: policies fetched, reports posted.

The name is looked up by the box's own resolver and only public addresses are connected to (others where
the laboratory allows them); the certificate must be valid for the name. No redirect is followed, no
proxy and no cookie is used, an answer is read up to a limit, and all of it takes at most `seconds`.
Raises HttpsFailed in words for everything that goes wrong, but never for the status of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import httpcore

from appliance.core.tls import verifying_context
from mta.transport import mx
from mta.transport.facts import one_family

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from appliance.core.dns import Resolver

PORT: Final = 443
_ADDRESSES: Final = 2  # tried, of a name
_POST_ANSWER: Final = 64 * 1024
_PATH: Final = "/?%:@!$&'()*+,;=[]~-._"  # stays as it is in the target of a request
_TIMES: Final = dict.fromkeys(("connect", "read", "write", "pool"), 5.0)
_FAULTS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsAnswer:
    """What the server said."""

    status: int
    content_type: str  # lower case, without parameters
    body: bytes


class HttpsFailed(Exception):  # noqa: N818 - an outcome, not a fault of ours
    """No answer; `is_certificate`: the server's certificate was the reason."""

    def __init__(self, text: str, *, is_certificate: bool = False) -> None:
        super().__init__(text)
        self.is_certificate = is_certificate


class HttpsClient:
    """One per process."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        ipv6: bool = False,
        allow_private: bool = False,
        context: ssl.SSLContext | None = None,
        port: int = PORT,
    ) -> None:
        """`context` and `port` replace the machine's authorities and 443 (laboratory)."""
        self._resolver, self._ipv6, self._allow_private = resolver, ipv6, allow_private
        self._context = context or verifying_context()
        self._port = port

    async def get(self, url: str, *, limit: int, seconds: float) -> HttpsAnswer:
        """Read a resource of at most `limit` octets."""
        return await self._ask(_Question("GET", *self._parts(url), limit=limit), seconds)

    async def post(
        self, url: str, body: bytes, content_type: str, *, seconds: float
    ) -> HttpsAnswer:
        """Hand something over; of the answer only a little is read."""
        question = _Question(
            "POST", *self._parts(url), limit=_POST_ANSWER, body=body, content_type=content_type
        )
        return await self._ask(question, seconds)

    async def _ask(self, question: _Question, seconds: float) -> HttpsAnswer:
        failed = HttpsFailed(f"{question.host} took too long")
        try:
            async with asyncio.timeout(seconds):
                for address in await self._addresses(question.host):
                    try:
                        return await self._send(question, address)
                    except HttpsFailed as error:
                        failed = error
        except TimeoutError:
            pass
        raise failed

    def _parts(self, url: str) -> tuple[str, int, str]:
        """Host, port and path of a URL that may be asked."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or self._port
        except ValueError as error:
            raise HttpsFailed(f"{url[:200]!r} is no URL: {error}") from error
        if parts.scheme != "https" or not host.isascii() or not host or mx.is_address(host):
            raise HttpsFailed(f"{url[:200]!r} is no https URL with a host name")
        return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def _addresses(self, host: str) -> tuple[str, ...]:
        found = await one_family(self._resolver, host, ipv6=False)
        if self._ipv6:
            found = found.joined(await one_family(self._resolver, host, ipv6=True))
        if not found.values:
            raise HttpsFailed(found.why or f"{host} has no address")
        allowed = mx.reachable(found.values, allow_private=self._allow_private)
        if not allowed:
            raise HttpsFailed(f"{host} has only private addresses")
        return allowed[:_ADDRESSES]

    async def _send(self, question: _Question, address: str) -> HttpsAnswer:
        host = question.host
        try:
            async with (
                httpcore.AsyncConnectionPool(ssl_context=self._context) as pool,
                question.to(address, pool) as response,
            ):
                return HttpsAnswer(
                    status=response.status,
                    content_type=_media_type(_header(response, b"content-type")),
                    body=await _read(response, question.limit),
                )
        except (*_FAULTS, OSError, ValueError) as error:
            certificate = _certificate_error(error)
            if certificate is not None:
                text = f"the certificate of {host} is not valid: {certificate.verify_message}"
                raise HttpsFailed(text, is_certificate=True) from error
            text = f"{host} cannot be asked: {str(error) or type(error).__name__}"
            raise HttpsFailed(text) from error


@dataclass(frozen=True, slots=True)
class _Question:
    method: str
    host: str
    port: int
    path: str
    limit: int
    body: bytes = b""
    content_type: str = ""

    def to(
        self, address: str, pool: httpcore.AsyncConnectionPool
    ) -> AbstractAsyncContextManager[httpcore.Response]:
        """Ask one address of the host; TLS and HTTP are still told the host's name."""
        headers: dict[bytes | str, bytes | str] = {
            "Host": self.host,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self.body:
            headers |= {"Content-Type": self.content_type, "Content-Length": str(len(self.body))}
        return pool.stream(
            self.method,
            httpcore.URL(
                scheme=b"https",
                host=address.encode(),
                port=self.port,
                target=quote(self.path, safe=_PATH).encode(),
            ),
            headers=headers,
            content=self.body or None,
            extensions={"sni_hostname": self.host, "timeout": _TIMES},
        )


def _header(response: httpcore.Response, name: bytes) -> str:
    found = (value for key, value in response.headers if key.lower() == name)
    return next(found, b"").decode("latin-1")


async def _read(response: httpcore.Response, limit: int) -> bytes:
    octets = bytearray()
    async for piece in response.aiter_stream():
        octets += piece
        if len(octets) > limit:
            raise ValueError(f"it sends more than {limit} octets")
    return bytes(octets)


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The reason inside what httpcore made of it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return found
        found = found.__cause__ or found.__context__
    return None
