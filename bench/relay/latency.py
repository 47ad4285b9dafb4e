"""Latency: one message at a time through an idle relay, and what its signatures are worth.

Measured from connecting to the relay until its 250, and until the sink here has read the final dot.
A blocking client and a blocking sink in a thread: an event loop would add its own turns to both. The
last message is kept, and dkimpy verifies every signature on it against the relay's keys.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.lab.world import verify
from relay.base import RECIPIENT, SENDER, BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from relay.base import Relay

_WARM_UP: Final = 10
_PAUSE: Final = 0.02
_TIMEOUT: Final = 30.0
_LINE: Final = b"The quick brown fox jumps over the lazy dog, 0123456789 abcdef.\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of all messages but the first ten."""

    relay: str
    size: int
    count: int
    accepted_p50_ms: float
    accepted_p99_ms: float
    delivered_p50_ms: float
    delivered_p99_ms: float
    signatures: tuple[str, ...]  # "pass rsa-sha256 d=src.example"


def median(blocks: Sequence[Latency]) -> Latency:
    """The medians of several blocks of one relay; signatures are those that every block showed."""
    first = blocks[0]
    names = ("accepted_p50_ms", "accepted_p99_ms", "delivered_p50_ms", "delivered_p99_ms")
    middle = {name: statistics.median(getattr(one, name) for one in blocks) for name in names}
    shown = first.signatures if all(one.signatures == first.signatures for one in blocks) else ()
    count = sum(one.count for one in blocks)
    return dataclasses.replace(first, **middle, count=count, signatures=shown)


class _Sink:
    """Takes messages one after another, and notes when each was whole."""

    def __init__(self, port: int) -> None:
        self.arrived = threading.Event()
        self.at, self.message = 0.0, b""
        self._sessions: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Also what the relay keeps open."""
        for one in (self._listener, *self._sessions):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                session, _ = self._listener.accept()
            except OSError:
                return
            session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sessions.add(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: socket.socket) -> None:
        with contextlib.suppress(OSError), session, session.makefile("rb") as lines:
            session.sendall(b"220 sink ESMTP\r\n")
            for line in lines:
                match line[:4].upper():
                    case b"EHLO":
                        session.sendall(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                    case b"DATA":
                        session.sendall(b"354 go on\r\n")
                        self._take(lines)
                        session.sendall(b"250 taken\r\n")
                    case b"QUIT":
                        session.sendall(b"221 bye\r\n")
                        break
                    case _:
                        session.sendall(b"250 fine\r\n")
        self._sessions.discard(session)

    def _take(self, lines: BinaryIO) -> None:
        body = []
        for line in lines:
            if line == b".\r\n":
                self.at, self.message = time.monotonic(), b"".join(body)
                self.arrived.set()
                return
            body.append(line)


def measure(relay: Relay, size: int, count: int) -> Latency:
    """Send `count` messages and ten before them. Raises BenchError when one does not arrive."""
    sink = _Sink(relay.sink_port)
    accepted, delivered = [], []
    try:
        for number in range(count + _WARM_UP):
            sink.arrived.clear()
            started, done = _send(relay, _message(size, number))
            if not sink.arrived.wait(_TIMEOUT):
                raise BenchError(f"{relay.name}: a message never arrived")
            if number >= _WARM_UP:
                accepted.append((done - started) * 1000)
                delivered.append((sink.at - started) * 1000)
            time.sleep(_PAUSE)
    finally:
        sink.close()
    return Latency(
        relay=relay.name,
        size=size,
        count=count,
        accepted_p50_ms=_share(accepted, 0.5),
        accepted_p99_ms=_share(accepted, 0.99),
        delivered_p50_ms=_share(delivered, 0.5),
        delivered_p99_ms=_share(delivered, 0.99),
        signatures=tuple(verify(sink.message, _txt(relay))),
    )


def _txt(relay: Relay) -> Callable[..., bytes | None]:
    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        found = relay.dns.get(name.decode().rstrip("."))
        return found.encode() if found else None

    return look_up


def _send(relay: Relay, message: bytes) -> tuple[float, float]:
    """One message on a connection of its own; when it began, and when it was accepted."""
    started = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", relay.port), _TIMEOUT) as session,
        session.makefile("rb") as lines,
    ):
        session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _expect(lines, b"2")
        for command in (b"EHLO client.example", b"MAIL FROM:<%b>" % SENDER.encode()):
            session.sendall(command + b"\r\n")
            _expect(lines, b"2")
        session.sendall(b"RCPT TO:<%b>\r\n" % RECIPIENT.encode())
        _expect(lines, b"2")
        session.sendall(b"DATA\r\n")
        _expect(lines, b"3")
        session.sendall(message + b".\r\n")
        _expect(lines, b"2")
        done = time.monotonic()
        session.sendall(b"QUIT\r\n")
    return started, done


def _expect(lines: BinaryIO, first: bytes) -> None:
    line = lines.readline()
    while line[3:4] == b"-":
        line = lines.readline()
    if line[:1] != first:
        raise BenchError(f"the relay answered {line!r}")


def _message(size: int, number: int) -> bytes:
    head = (
        f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: message {number}\r\n"
        f"Message-ID: <{number}.{time.time_ns()}@src.example>\r\n"
        "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    ).encode()
    return head + _LINE * max(1, (size - len(head)) // len(_LINE))


def _share(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]
