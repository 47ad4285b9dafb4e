"""Client: one POST to a receiver that may be anybody, also an enemy.

    look the name up -> check every address -> connect to one that passed -> TLS for the name -> POST

Promises: connects to exactly the address that was checked, each new connection to one looked up anew,
so that a name which changes its mind (DNS rebinding) gains nothing; names go to the box's own resolver
alone, never to the machine's, which reads "127.1" as an address. No redirect is followed, no proxy and no
cookie used. At most 64 KB of an answer are read, in at most CONNECT_SECONDS and TOTAL_SECONDS; a
connection is kept for the next event, but not for long.

httpx would do the same at 1.8 ms of CPU a request, and a thousand a second must fit into a part of one core.
So requests are written here, the plain answers that nearly all receivers give are read here, and every other
one by h11, the parser that httpx has too: 0.2 ms.
Never raises for what a receiver does or fails to do: the Answer says it.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import h11

from appliance.core import clock
from appliance.core.dns import DnsError
from appliance.core.tls import verifying_context
from appliance.webhooks.model import ANSWER
from mta.transport.mx import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.core.dns import Answer as DnsAnswer
    from appliance.webhooks.rules import Target

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
MAX_ANSWER: Final = 64 * 1024
_MAX_HEAD: Final = 16 * 1024
_READ: Final = 16 * 1024
_ADDRESSES: Final = 2  # tried, of a name
_IDLE_SECONDS: Final = 4.0  # many servers hang up after five
_LIFE_SECONDS: Final = 60.0  # then a name is looked up again
_KEPT_AT_ONE: Final = 64  # idle connections to one place: it may be many endpoints'
_KEPT: Final = 512  # in all
_FIXED: Final = (
    "User-Agent: Pillarbox-Webhooks/1\r\nAccept: */*\r\nContent-Type: application/json\r\n"
)
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_TOKEN: Final = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_LENGTH: Final = re.compile(rb"[0-9]{1,5}")
_WITHOUT_BODY: Final = (b"204", b"304")
_ANY: Final = h11.Request(
    method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]
)
_BOTH_DONE: Final = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


class Lookup(Protocol):
    """Who knows the addresses of names (appliance.core.dns.Resolver)."""

    async def addresses(self, name: str, *, ipv6: bool) -> DnsAnswer:
        """The A or AAAA records of a name. Raises DnsError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: `status` 0 when nothing did; then `text` says why."""

    status: int
    text: str
    took: int  # ms
    retry_after: str = ""


class _NoAnswerError(Exception):
    """Nothing came back; the text is for people."""


class _StaleError(Exception):
    """A kept connection was closed before the request reached anybody."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer, of whose body the beginning was read."""

    status: int
    headers: dict[bytes, bytes]  # names in lower case; of several of one name the last
    body: bytes
    is_kept: bool  # whether another request may follow


class _Line:
    """A connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, now: float
    ) -> None:
        self._reader, self._writer = reader, writer
        self.opened, self.used = now, now
        self._is_fresh = True  # has carried no request yet

    def is_usable(self, now: float) -> bool:
        return (
            now - self.used < _IDLE_SECONDS
            and now - self.opened < _LIFE_SECONDS
            and not self._reader.at_eof()
        )

    async def exchange(self, request: bytes) -> _Reply:
        """One request, one answer."""
        self._writer.write(request)
        data = await self._first()
        self._is_fresh = False
        return _at_once(data) or await self._piecewise(data)

    async def _first(self) -> bytes:
        """The first octets that come back."""
        try:
            data = await self._reader.read(_READ)
        except ConnectionError as error:
            if self._is_fresh:
                raise
            raise _StaleError from error
        if not data and not self._is_fresh:
            raise _StaleError
        return data

    async def _piecewise(self, data: bytes) -> _Reply:
        """An answer of any form that HTTP/1.1 knows."""
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        http.send(_ANY)
        http.send(h11.EndOfMessage())
        http.receive_data(data)
        response = None
        octets = bytearray()
        while len(octets) <= MAX_ANSWER:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                octets += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break
        if response is None:
            raise _NoAnswerError("it hung up")
        return _Reply(
            status=response.status_code,
            headers=dict(response.headers),
            body=bytes(octets[:MAX_ANSWER]),
            is_kept=http.states == _BOTH_DONE and not http.trailing_data[0],
        )

    def close(self) -> None:
        self._writer.transport.abort()  # what the receiver still says interests nobody


def _at_once(data: bytes) -> _Reply | None:
    """An answer that came whole, in the one form that nearly all have; None for any other."""
    head, separator, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    found = _STATUS.fullmatch(first)
    if not separator or found is None:
        return None
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not _TOKEN.fullmatch(name) or name in headers:
            return None
        headers[name] = value.strip()
    length = headers.get(b"content-length", b"")
    if not _LENGTH.fullmatch(length) or int(length) != len(body):
        return None
    if b"transfer-encoding" in headers or found[1] in _WITHOUT_BODY:
        return None
    is_kept = b"close" not in headers.get(b"connection", b"").lower()
    return _Reply(int(found[1]), headers, body, is_kept)


class WebhookClient:
    """Posts to receivers; one per process."""

    def __init__(
        self,
        lookup: Lookup,
        allowed: Callable[[str], bool],
        *,
        context: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """`allowed` says which addresses may be connected to; `context` replaces the machine's authorities."""
        self._lookup, self._allowed, self._total = lookup, allowed, total_seconds
        self._context = context or verifying_context()
        self._kept: dict[tuple[str, str, int], deque[_Line]] = {}
        self._idle = 0

    async def post(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Hand the body over; what came of it."""
        started = clock.monotonic()
        status, text, retry_after = 0, "", ""
        try:
            async with asyncio.timeout(self._total):
                reply = await self._post(target, _request(target, headers, body))
            status, text = reply.status, reply.body.decode("utf-8", "replace")
            retry_after = _text(reply, b"retry-after")
            if 300 <= status < 400:
                text = f"redirects are not followed; it points to {_text(reply, b'location')}"
        except TimeoutError:
            text = f"it took longer than {self._total:g} seconds"
        except (_NoAnswerError, h11.RemoteProtocolError, OSError) as error:
            text = _words(error)
        took = int((clock.monotonic() - started) * 1000)
        kept = text[:ANSWER].replace("\0", "\ufffd")
        return Answer(status=status, text=kept, took=took, retry_after=retry_after)

    async def _post(self, target: Target, request: bytes) -> _Reply:
        line = self._take(target)
        if line is not None:
            with suppress(_StaleError):
                return await self._over(line, target, request)
        return await self._over(await self._connect(target), target, request)

    async def _over(self, line: _Line, target: Target, request: bytes) -> _Reply:
        reply = None
        try:
            reply = await line.exchange(request)
        finally:
            if reply is None or not reply.is_kept:
                line.close()
        if reply.is_kept:
            self._keep(target, line)
        return reply

    # -- connections -----------------------------------------------------------

    def _take(self, target: Target) -> _Line | None:
        kept = self._kept.get(_place(target))
        now = clock.monotonic()
        while kept:
            line = kept.pop()
            if line.is_usable(now):
                self._idle -= 1
                return line
            self._close(line)
        return None

    def _close(self, line: _Line) -> None:
        self._idle -= 1
        line.close()

    def _keep(self, target: Target, line: _Line) -> None:
        line.used = clock.monotonic()
        kept = self._kept.setdefault(_place(target), deque())
        kept.append(line)
        self._idle += 1
        if len(kept) > _KEPT_AT_ONE or self._idle > _KEPT:
            self._close(kept.popleft())

    def tidy(self) -> None:
        """Close what has not been used for a while. To be called every second or so."""
        now = clock.monotonic()
        for place, lines in list(self._kept.items()):
            while lines and not lines[0].is_usable(now):
                self._close(lines.popleft())
            if not lines:
                del self._kept[place]

    def close(self) -> None:
        """Hang up everywhere."""
        for lines in self._kept.values():
            for line in lines:
                self._close(line)
        self._kept.clear()

    async def _connect(self, target: Target) -> _Line:
        failure: Exception = _NoAnswerError(f"{target.host} has no address")
        for address in await self._addresses(target.host):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._open(target, address)
            except TimeoutError:
                failure = _NoAnswerError(f"no connection within {CONNECT_SECONDS:g} seconds")
            except OSError as error:
                failure = error
        raise failure

    async def _open(self, target: Target, address: str) -> _Line:
        is_tls = target.scheme == "https"
        reader, writer = await asyncio.open_connection(
            address,
            target.port,
            ssl=self._context if is_tls else None,
            server_hostname=target.host if is_tls else None,
        )
        return _Line(reader, writer, clock.monotonic())

    async def _addresses(self, host: str) -> list[str]:
        """Where the host may be connected to. Raises _NoAnswerError."""
        found = [host] if is_address(host) else await self._look_up(host)
        allowed = [address for address in found if self._allowed(address)]
        if not allowed:
            raise _NoAnswerError(
                f"{host} is a private address ({', '.join(found[:4])}); webhooks.allow_networks would allow it"
            )
        return allowed[:_ADDRESSES]

    async def _look_up(self, host: str) -> list[str]:
        words = ""
        for ipv6 in (False, True):
            try:
                found = await self._lookup.addresses(host, ipv6=ipv6)
                return [address for address in found.values if is_address(address)]
            except DnsError as error:
                words = words or str(error)
        raise _NoAnswerError(words)


def _request(target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """The target holds nothing that could end a line (rules.py), nor do our own headers."""
    own = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n{_FIXED}"
    return f"{head}Content-Length: {len(body)}\r\n{own}\r\n".encode("ascii") + body


def _place(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _text(reply: _Reply, name: bytes) -> str:
    return reply.headers.get(name, b"").decode("latin-1")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio's own text only repeats the address
    return str(error) or "it hung up"
