"""One connection of the laboratory receiver: reads commands and content, answers as the script says."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Final

from appliance.core import tasks
from appliance.lab.script import Action, Point, Received, Say, Starttls

if TYPE_CHECKING:
    from appliance.lab.receiver import Receiver

_ENDLESS_BLOCK: Final = 8192
_ANSWERS: Final = {
    Point.MAIL: "250 2.1.0 sender ok",
    Point.RCPT: "250 2.1.5 recipient ok",
    Point.DATA: "354 end with a lone dot",
    Point.RSET: "250 2.0.0 reset",
    Point.QUIT: "221 2.0.0 bye",
}


class ReceiverSession(asyncio.Protocol):
    """What the receiver says on one connection."""

    def __init__(self, server: Receiver) -> None:
        self._server, self._script = server, server.script
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._waits = False  # for a delay, for TLS, or for ever
        self._in_content = self._slowed = False
        self._is_tls = server.script.implicit_tls
        self._helo = ""
        self._taken = 0
        self._user = ""  # whose password comes next
        self._is_logged_in = server.script.login is None
        self._reset()

    def _reset(self) -> None:
        self._mail: tuple[str, str] | None = None
        self._rcpt: list[tuple[str, str]] = []

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._number = self._server.joined(self)
        self._answer(Point.GREETING, f"220 {self._script.name} ESMTP")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._script.keep and not self._in_content:
            self._server.reads.append((self._number, data[:65536].decode("utf-8", "replace")))
        self._work()

    def _work(self) -> None:
        while not self._waits and self._transport is not None:
            if not (self._read_content() if self._in_content else self._read_line()):
                break
        self._flush()

    def _read_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + 2]
        if self._script.keep:
            self._server.commands.append((self._number, line))
        if self._user:
            self._check_login(self._user, _decoded(line))
        else:
            self._obey(line)
        return True

    def _obey(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO":
                self._helo = rest
                self._answer(Point.EHLO, self._ehlo())
            case "HELO":
                self._helo = rest
                self._answer(Point.HELO, f"250 {self._script.name}")
            case "MAIL":
                self._mail_command(rest)
            case "RCPT":
                self._rcpt_command(rest)
            case "DATA":
                self._data_command()
            case "RSET":
                self._reset()
                self._answer(Point.RSET, _ANSWERS[Point.RSET])
            case "QUIT":
                self._answer(Point.QUIT, _ANSWERS[Point.QUIT])
                self._flush()
                self.close()
            case "STARTTLS" if self._script.starttls is not Starttls.NONE:
                self._starttls()
            case "AUTH":
                self._auth(rest)
            case _:
                self._out.append(b"500 5.5.1 unknown command\r\n")

    def _ehlo(self) -> str:
        lines = [self._script.name, *self._script.extensions]
        if self._script.starttls is not Starttls.NONE and not self._is_tls:
            lines.append("STARTTLS")
        if self._script.login is not None:
            lines.append("AUTH PLAIN LOGIN")
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    def _mail_command(self, rest: str) -> None:
        if self._mail is not None:
            self._out.append(b"503 5.5.1 nested MAIL\r\n")
        elif not self._is_logged_in:
            self._out.append(b"530 5.7.0 authentication required\r\n")
        elif self._answer(Point.MAIL, _ANSWERS[Point.MAIL]):
            self._mail = _path(rest)

    def _rcpt_command(self, rest: str) -> None:
        if self._mail is None:
            self._out.append(b"503 5.5.1 MAIL first\r\n")
            return
        path = _path(rest)
        default: Say = self._script.recipients.get(path[0].lower(), _ANSWERS[Point.RCPT])
        triple = (self._mail[0], path[0])
        if self._script.greylist and not self._server.greylisted[triple]:
            self._server.greylisted[triple] += 1
            default = "451 4.7.1 greylisted: come back later"
        if self._answer(Point.RCPT, default):
            self._rcpt.append(path)

    def _data_command(self) -> None:
        if self._rcpt or Point.DATA in self._script.once or Point.DATA in self._script.always:
            self._in_content = self._answer(Point.DATA, _ANSWERS[Point.DATA])
        else:
            self._out.append(b"554 5.5.1 no valid recipients\r\n")

    def _read_content(self) -> bool:
        if self._buffer and not self._scripted(Point.CONTENT):
            return False
        if self._script.slow_reader and not self._slowed:
            self._slowed = True
            self._sleep(1.0)
            return False
        start = 0 if self._buffer.startswith(b".\r\n") else self._buffer.find(b"\r\n.\r\n") + 2
        if start == 1:
            return False
        wire = bytes(self._buffer[:start])
        del self._buffer[: start + 3]
        self._in_content = False
        self._end_message(wire)
        return True

    def _end_message(self, wire: bytes) -> None:
        message = self._received(wire)
        self._taken += 1
        self._reset()
        if self._answer(
            Point.DOT, f"250 2.0.0 taken as {self._number}-{self._taken}", message.data
        ):
            self._server.take(message)
        if self._script.unasked:
            self._out.append(self._script.unasked.encode() + b"\r\n")
        if self._taken == self._script.close_after:
            self._flush()
            self.close()

    def _received(self, wire: bytes) -> Received:
        data = wire.replace(b"\r\n..", b"\r\n.")
        mail_from, parameters = self._mail or ("", "")
        return Received(
            mail_from=mail_from,
            mail_parameters=parameters,
            recipients=tuple(address for address, _ in self._rcpt),
            recipient_parameters=tuple(parameters for _, parameters in self._rcpt),
            data=data[1:] if data.startswith(b"..") else data,
            wire=wire,
            helo=self._helo,
            is_tls=self._is_tls,
            session=self._number,
        )

    # Answers, good and bad.

    def _answer(self, point: Point, default: Say, content: bytes = b"") -> bool:
        """Say what the script or else the default says; whether it was a yes."""
        queue = self._script.once.get(point)
        say = queue.pop(0) if queue else self._reaction(point, content)
        if say is None:
            say = self._script.always.get(point, default)
        delay = self._script.delays.get(point)
        if isinstance(say, Action):
            self._act(say)
            return False
        self._out.append(say.encode("utf-8", "surrogateescape") + b"\r\n")
        if delay:
            held, self._out = self._out, []
            self._sleep(delay, held)
        return say[:1] in "23"

    def _reaction(self, point: Point, content: bytes) -> Say | None:
        if self._script.reaction is None or self._transport is None:
            return None
        source: str = self._transport.get_extra_info("peername")[0]
        return self._script.reaction(point, source, content)

    def _scripted(self, point: Point) -> bool:
        """Do what the script has for a point where nothing is said; False when it was done."""
        queue = self._script.once.get(point)
        say = queue.pop(0) if queue else self._script.always.get(point)
        if say is None:
            return True
        if isinstance(say, Action):
            self._act(say)
        else:
            self._out.append(say.encode() + b"\r\n")
            self._flush()
            self.close()
        return False

    def _act(self, action: Action) -> None:
        self._flush()
        self._waits = True
        match action:
            case Action.DROP:
                self.close()
            case Action.HANG:
                return
            case Action.ENDLESS_LINE:
                self._pour(b"2" * _ENDLESS_BLOCK)
            case Action.ENDLESS_REPLY:
                self._pour(b"250-and so on and on\r\n" * 100)

    def _pour(self, block: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(block)
            self._loop.call_later(0.001, self._pour, block)

    def _sleep(self, seconds: float, held: list[bytes] | None = None) -> None:
        self._waits = True
        self._flush()
        if self._transport is not None and held is None:
            self._transport.pause_reading()
        self._loop.call_later(seconds, self._wake, held or [])

    def _wake(self, held: list[bytes]) -> None:
        self._waits = False
        if self._transport is not None:
            self._transport.resume_reading()
            self._out += held
            self._work()

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if not data or self._transport is None:
            return
        if not self._script.chunk:
            self._transport.write(data)
            return
        pieces = [data[i : i + self._script.chunk] for i in range(0, len(data), self._script.chunk)]
        self._drip(pieces)

    def _drip(self, pieces: list[bytes]) -> None:
        if pieces and self._transport is not None:
            self._transport.write(pieces[0])
            self._loop.call_later(0.0005, self._drip, pieces[1:])

    def say(self, text: str) -> None:
        if self._transport is not None:
            self._transport.write(text.encode() + b"\r\n")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # STARTTLS and AUTH.

    def _starttls(self) -> None:
        if self._script.starttls is Starttls.REFUSED:
            self._out.append(b"454 4.7.0 TLS not available\r\n")
            return
        assert self._transport is not None
        self._transport.pause_reading()  # the client's first octets belong to TLS
        self._waits = True
        self._out.append(b"220 2.0.0 go ahead\r\n")
        if self._script.starttls is Starttls.INJECTED:
            self._out.append(b"250-mitm\r\n250 SIZE 1\r\n")
        self._flush()
        if self._script.starttls in (Starttls.GOOD, Starttls.INJECTED):
            tasks.spawn(self._upgrade(), name="lab starttls")
        elif self._script.starttls is Starttls.BROKEN:
            self._loop.call_later(0.01, self.say, "this is no TLS")
            self._loop.call_later(0.02, self.close)
        else:
            self.close()

    async def _upgrade(self) -> None:
        assert self._transport is not None
        self._buffer.clear()  # RFC 3207 4.2; what comes from here on is said under TLS
        try:
            upgraded = await self._loop.start_tls(
                self._transport, self, self._server.context, server_side=True
            )
        except OSError:
            return  # the client gave up
        assert isinstance(upgraded, asyncio.Transport)
        self._transport = upgraded
        self._is_tls, self._waits = True, False
        self._work()  # the client's EHLO may have come with the end of its handshake

    def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password = (_decoded(initial) + "\0\0").split("\0")[:3]
            self._check_login(user, password)
        else:
            self._user = _decoded(initial)
            self._out.append(b"334 UGFzc3dvcmQ6\r\n")

    def _check_login(self, user: str, password: str) -> None:
        self._user = ""
        self._is_logged_in = (user, password) == self._script.login
        answer = b"235 2.7.0 welcome\r\n" if self._is_logged_in else b"535 5.7.8 wrong login\r\n"
        self._out.append(answer)


def _path(rest: str) -> tuple[str, str]:
    """The address between the angle brackets, and the parameters behind."""
    start, end = rest.find("<"), rest.rfind(">")
    return rest[start + 1 : end], rest[end + 1 :].strip()


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except binascii.Error:
        return ""
