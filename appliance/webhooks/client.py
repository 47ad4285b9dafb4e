"""Client: one POST to a receiver that may be anybody, also an enemy.

    look the name up -> check every address -> connect to one that passed -> TLS for the name -> POST

Promises: connects to exactly the address that was checked, each new connection to one looked up anew,
so that a name which changes its mind (DNS rebinding) gains nothing; names go to the box's own resolver
alone, never to the machine's, which reads "127.1" as an address. No redirect is followed, no proxy and no
cookie used. At most 64 KB of an answer are read, in at most CONNECT_SECONDS and TOTAL_SECONDS; a
connection is kept for the next event, but not for long.

httpx would do the same at 1.8 ms of CPU a request where this takes 0.4, and a thousand a second must fit
into a part of one core; so HTTP/1.1 is spoken through h11, whose parser httpx has too.
Never raises for what a receiver does or fails to do: the Answer says it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import h11

from appliance.core import clock
from appliance.core.dns import DnsError
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
    ("User-Agent", "Pillarbox-Webhooks/1"),
    ("Accept", "*/*"),
    ("Content-Type", "application/json"),
)


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


class _Line:
    """A connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, now: float
    ) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.opened, self.used = now, now
        self._is_fresh = True  # has carried no request yet

    def is_usable(self, now: float) -> bool:
        return (
            now - self.used < _IDLE_SECONDS
            and now - self.opened < _LIFE_SECONDS
            and not self._reader.at_eof()
        )

    @property
    def may_be_kept(self) -> bool:
        """After an exchange: whether another may follow."""
        return self._http.our_state is h11.IDLE

    async def exchange(self, request: h11.Request, body: bytes) -> tuple[h11.Response, bytes]:
        """One request, one answer, of which the beginning is read."""
        out = self._http.send(request) or b""
        out += self._http.send(h11.Data(body)) or b""
        self._http.send(h11.EndOfMessage())
        self._writer.write(out)
        response = await self._response()
        text = await self._body()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        self._is_fresh = False
        return response, text

    async def _response(self) -> h11.Response:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                data = await self._read()
                if not data and not self._is_fresh and not self._http.trailing_data[0]:
                    raise _StaleError
                self._http.receive_data(data)

    async def _body(self) -> bytes:
        octets = bytearray()
        while len(octets) <= MAX_ANSWER:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                octets += event.data
            elif event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ))
            else:
                break
        return bytes(octets[:MAX_ANSWER])

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_READ)
        except ConnectionError as error:
            if self._is_fresh:
                raise
            raise _StaleError from error

    def close(self) -> None:
        self._writer.transport.abort()  # what the receiver still says interests nobody


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
        self._context = context or ssl.create_default_context()
        self._kept: dict[tuple[str, str, int], deque[_Line]] = {}
        self._idle = 0

    async def post(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Hand the body over; what came of it."""
        started = clock.monotonic()
        status, text, retry_after = 0, "", ""
        try:
            async with asyncio.timeout(self._total):
                response, octets = await self._post(target, _request(target, headers, body), body)
            status, text = response.status_code, octets.decode("utf-8", "replace")
            retry_after = _header(response, b"retry-after")
            if 300 <= status < 400:
                text = f"redirects are not followed; it points to {_header(response, b'location')}"
        except TimeoutError:
            text = f"it took longer than {self._total:g} seconds"
        except (_NoAnswerError, h11.RemoteProtocolError, OSError) as error:
            text = _words(error)
        took = int((clock.monotonic() - started) * 1000)
        kept = text[:ANSWER].replace("\0", "\ufffd")
        return Answer(status=status, text=kept, took=took, retry_after=retry_after)

    async def _post(
        self, target: Target, request: h11.Request, body: bytes
    ) -> tuple[h11.Response, bytes]:
        line = self._take(target)
        if line is not None:
            with suppress(_StaleError):
                return await self._over(line, target, request, body)
        return await self._over(await self._connect(target), target, request, body)

    async def _over(
        self, line: _Line, target: Target, request: h11.Request, body: bytes
    ) -> tuple[h11.Response, bytes]:
        answer = None
        try:
            answer = await line.exchange(request, body)
        finally:
            if answer is None or not line.may_be_kept:
                line.close()
        if line.may_be_kept:
            self._keep(target, line)
        return answer

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


def _request(target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> h11.Request:
    sent = [
        ("Host", target.authority),
        *_FIXED,
        ("Content-Length", str(len(body))),
        *headers,
    ]
    return h11.Request(method="POST", target=target.path, headers=sent)


def _place(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _header(response: h11.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key == name), "")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio's own text only repeats the address
    return str(error) or "it hung up"
