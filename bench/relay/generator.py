"""Generator: the client where smtp-source cannot be one: many recipients, STARTTLS, AUTH.

    sessions    so many at a time, each with a connection of its own for every `each` messages
    names       message number n goes to rcpt@dN.NAMES.test, N = n modulo `domains`
    people      user name, password and sender of each connection, in turns; without a user name no AUTH
    resumes     later handshakes of a session go on with the TLS session of the one before

One thread on epoll, wires made beforehand, MAIL, RCPT and DATA in one write: it takes some 100 us a
message and connection, as smtp-source does, and under TLS what OpenSSL takes. Every reply is awaited
and looked at; the first that is not as it should be ends the run with exit code 1 and the words.

Reads a plan as one line of JSON from standard input, says "ready", begins at the next line; at the
end it tells how many connections there were and how many resumed.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    Talk = Generator[int, None, None]

_LINE: Final = b"The quick brown fox jumps over the lazy dog, 0123456789 abcdef.\r\n"
_READ: Final = select.EPOLLIN
_WRITE: Final = select.EPOLLOUT


class WrongReplyError(Exception):
    """A reply that should have been another."""


class Mail:
    """What is sent, made once."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.messages, self.each = plan["messages"], plan["each"]
        self._names, self._domains, self._to = plan["names"], plan["domains"], plan["recipient"]
        self.people = [(_auth(user, password), sender) for user, password, sender in plan["people"]]
        self._run = time.time_ns()
        head = self._head(0, "x@y")
        self._body = b"\r\n" + _LINE * max(1, (plan["size"] - len(head)) // len(_LINE)) + b".\r\n"

    def envelope(self, number: int, sender: str) -> bytes:
        """MAIL, RCPT and DATA."""
        to = f"rcpt@d{number % self._domains}.{self._names}.test" if self._names else self._to
        return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode()

    def content(self, number: int, sender: str) -> bytes:
        """The message with its final dot."""
        return self._head(number, sender) + self._body

    def _head(self, number: int, sender: str) -> bytes:
        return (
            f"From: <{sender}>\r\nTo: <{self._to}>\r\nSubject: message {number}\r\n"
            f"Message-ID: <{number}.{self._run}@client.example>\r\n"
            "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
        ).encode()


def _auth(user: str, password: str) -> bytes:
    if not user:
        return b""
    return b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()) + b"\r\n"


class Session:
    """One client: a connection after the other. Every method yields what it waits for."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._mail = crowd, crowd.mail
        self._socket: socket.socket
        self._input = b""
        self._resumes: ssl.SSLSession | None = None

    def run(self) -> Talk:
        """Until there is no message left."""
        while (first := self._crowd.next_number()) is not None:
            yield from self._connection(first)

    def _connection(self, number: int | None) -> Talk:
        auth, sender = self._crowd.next_person()
        self._socket = socket.create_connection(("127.0.0.1", self._crowd.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._input = b""
        self._crowd.watch(self._socket)
        yield from self._replies(b"220")
        yield from self._say(b"EHLO client.example\r\n", b"250")
        if self._crowd.tls is not None:
            yield from self._say(b"STARTTLS\r\n", b"220")
            yield from self._handshake(self._crowd.tls)
            yield from self._say(b"EHLO client.example\r\n", b"250")
        if auth:
            yield from self._say(auth, b"235")
        left = self._mail.each
        while number is not None:
            yield from self._say(self._mail.envelope(number, sender), b"250", b"250", b"354")
            yield from self._say(self._mail.content(number, sender), b"250")
            left -= 1
            number = self._crowd.next_number() if left else None
        if self._crowd.resumes and isinstance(self._socket, ssl.SSLSocket):
            self._resumes = self._socket.session
        yield from self._say(b"QUIT\r\n", b"221")
        self._crowd.leave(self._socket)

    def _handshake(self, context: ssl.SSLContext) -> Talk:
        self._crowd.leave(self._socket, closes=False)
        secured = context.wrap_socket(
            self._socket, do_handshake_on_connect=False, session=self._resumes
        )
        self._socket = secured
        self._crowd.watch(secured)
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                yield _READ
            except ssl.SSLWantWriteError:
                yield _WRITE
            else:
                break
        self._crowd.resumed += bool(secured.session_reused)

    def _say(self, words: bytes, *expected: bytes) -> Talk:
        rest = memoryview(words)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield _WRITE
        yield from self._replies(*expected)

    def _replies(self, *expected: bytes) -> Talk:
        for code in expected:
            while (line := self._final_line()) is None:
                try:
                    read = self._socket.recv(65_536)
                except (BlockingIOError, ssl.SSLWantReadError):
                    yield _READ
                    continue
                if not read:
                    raise WrongReplyError(f"the relay hung up where {code.decode()} was due")
                self._input += read
            if line[:3] != code:
                raise WrongReplyError(
                    f"{line.decode('utf-8', 'replace')!r} where {code.decode()} was due"
                )

    def _final_line(self) -> bytes | None:
        """The last line of the next reply, taken out; None while it is not whole."""
        at = 0
        while (end := self._input.find(b"\n", at)) >= 0:
            line, at = self._input[at:end], end + 1
            if line[3:4] != b"-":
                self._input = self._input[at:]
                return line
        return None


class Crowd:
    """All sessions on one epoll."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.port, self.mail = plan["port"], Mail(plan)
        self.resumes = plan["resumes"]
        self.tls = _trusting() if plan["tls"] else None
        self.connections = self.resumed = 0
        self._sessions, self._taken = plan["sessions"], 0
        self._poll = select.epoll()
        self._talks: dict[int, Talk] = {}
        self._now: Talk

    def run(self) -> None:
        """Send everything."""
        for _ in range(self._sessions):
            self._go_on(Session(self).run())
        while self._talks:
            for fd, _ in self._poll.poll():
                talk = self._talks.get(fd)
                if talk is not None:
                    self._go_on(talk, fd)

    def next_number(self) -> int | None:
        """The number of the next message; None when there is none."""
        if self._taken >= self.mail.messages:
            return None
        self._taken += 1
        return self._taken - 1

    def next_person(self) -> tuple[bytes, str]:
        """Who sends over the next connection: AUTH (or nothing) and sender."""
        self.connections += 1
        return self.mail.people[(self.connections - 1) % len(self.mail.people)]

    def watch(self, sock: socket.socket) -> None:
        """The session that speaks now waits for this socket from here on."""
        self._poll.register(sock, _READ)
        self._talks[sock.fileno()] = self._now

    def leave(self, sock: socket.socket, *, closes: bool = True) -> None:
        """No more."""
        self._poll.unregister(sock)
        del self._talks[sock.fileno()]
        if closes:
            sock.close()

    def _go_on(self, talk: Talk, fd: int = -1) -> None:
        self._now = talk
        wanted = next(talk, None)
        if fd >= 0 and wanted is not None and fd in self._talks:
            self._poll.modify(fd, wanted)


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> int:
    """Send what the plan says; returns the exit code."""
    crowd = Crowd(json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        crowd.run()
    except (WrongReplyError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"connections": crowd.connections, "resumed": crowd.resumed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
