"""A submission service on a loopback port, with an intake that only remembers; and a raw client."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from mta.directory import Credential, Directory, Tenant
from mta.submission.failures import LocalLedger
from mta.submission.listener import Listener
from mta.submission.login import Login, LoginRules, Uses
from mta.submission.room import Room
from mta.submission.service import Limits, Service, TlsMode
from mta.submission.session import Desk
from mta.submission.sessions import Sessions
from tests.support import tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from appliance.core.errors import PillarboxError
    from mta.message import Submission

PASSWORD = "correct horse"
TENANT = Tenant(id=7, name="acme")
LIMITS = Limits(
    max_message_bytes=1 << 20,
    max_recipients=100,
    max_messages=1000,
    max_commands_per_minute=10_000,
    idle_timeout=30,
    session_timeout=60,
)
PERIOD = 0.02  # of the clock that looks after time-outs


def hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def credential(**changes: Any) -> Credential:
    values: dict[str, Any] = {
        "id": 3,
        "tenant_id": 7,
        "name": "shop",
        "username": "shop",
        "secret_hash": hashed(PASSWORD),
    }
    return Credential(**(values | changes))


def directory(*credentials: Credential, **changes: Any) -> Directory:
    values: dict[str, Any] = {
        "generation": 1,
        "tenants": {7: TENANT},
        "credentials": {each.username: each for each in credentials},
    }
    return Directory(**(values | changes))


def trusting(one: Credential | None = None, **changes: Any) -> Directory:
    """A directory whose loopback clients need no login."""
    network = ipaddress.ip_network("127.0.0.0/8")
    return directory(trusted=((network, one or credential()),), **changes)


@dataclass
class Memo:
    """An intake that remembers; `hold` makes it wait, `error` makes it fail."""

    taken: list[Submission] = field(default_factory=list)
    error: PillarboxError | Exception | None = None
    hold: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(self, submission: Submission) -> int:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.taken.append(submission)
        return 1000 + len(self.taken)


@dataclass
class Seen:
    """An observer that remembers."""

    connections: int = 0
    handshakes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def connected(self) -> None:
        self.connections += 1

    def handshake(self, result: str) -> None:
        self.handshakes.append(result)

    def refused(self, reply: object) -> None:
        self.refusals.append(str(reply))


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that will be true in a moment."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells a test
            await asyncio.sleep(0.01)


class Box:
    """The service, to be entered with `async with`."""

    def __init__(
        self,
        *,
        directory: Directory,
        mode: TlsMode = TlsMode.STARTTLS,
        limits: Limits = LIMITS,
        memory: int = 1 << 26,
        sessions: tuple[int, int] = (100, 100),
        barren: int = 100_000,
        rules: LoginRules | None = None,
        sock: socket.socket | None = None,
        **service: Any,
    ) -> None:
        self.directory = directory
        self.intake = Memo()
        self.uses = Uses()
        self.ledger = LocalLedger()
        self.room = Room(memory)
        self.sessions = Sessions(limit=sessions[0], per_address=sessions[1], barren=barren)
        self.login = Login(
            directory=lambda: self.directory,
            matches=lambda secret, stored: hashed(secret) == stored,
            ledger=self.ledger,
            rules=rules or LoginRules(failures=5, delay=0),
            decoy=hashed("nobody's"),
        )
        desk = Desk(
            hostname="box.example",
            directory=lambda: self.directory,
            login=self.login,
            uses=self.uses,
            intake=self.intake,
        )
        self.seen = Seen()
        values: dict[str, Any] = {
            "hostname": "box.example",
            "make_handler": desk.session_of,
            "limits": limits,
            "sessions": self.sessions,
            "room": self.room,
            "tls": mode,
            "tls_context": tls.contexts()[0],
            "observer": self.seen,
        }
        self.service = Service(**(values | service))
        self._sock = sock or socket.create_server(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._wires: list[Wire] = []
        self.listener = Listener(self.service, [self._sock])

    async def __aenter__(self) -> Self:
        await self.listener.start()
        self.sessions.start_clock(PERIOD)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.listener.stop()
        if self.intake.hold is not None:
            self.intake.hold.set()
        await self.sessions.drain(1)
        self.sessions.stop_clock()
        for wire in self._wires:  # Python 3.11.2 complains of those that nobody closed
            if not wire.writer.is_closing():
                wire.writer.transport.abort()
        await asyncio.sleep(0.01)  # transports close in the next rounds of the loop

    async def _wire(self, **how: Any) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port, **how))
        self._wires.append(wire)
        return wire

    async def connect(self, *, greeted: bool = True) -> Wire:
        wire = await self._wire()
        if greeted:
            wire.greeting = await wire.reply()
        return wire

    async def connect_tls(self) -> Wire:
        """Implicit TLS."""
        context = tls.contexts()[1]
        wire = await self._wire(ssl=context)
        wire.greeting = await wire.reply()
        return wire

    async def ready(self) -> Wire:
        """A client that has said EHLO in the clear."""
        wire = await self.connect()
        await wire.ask("EHLO app.example")
        return wire

    async def secure(self) -> Wire:
        """A client that has said STARTTLS and EHLO."""
        wire = await self.ready()
        assert (await wire.ask("STARTTLS")).startswith("220")
        await wire.start_tls()
        await wire.ask("EHLO app.example")
        return wire

    def change(self, **changes: Any) -> None:
        """A new generation of the directory."""
        self.directory = replace(self.directory, **changes)


class Wire:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.greeting = ""

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def reply(self) -> str:
        """One reply, its lines joined by a line feed; "" at the end of the connection."""
        lines = []
        async with asyncio.timeout(30):
            while True:
                line = (await self.reader.readline()).decode()
                if not line:
                    return "\n".join(lines)
                assert line.endswith("\r\n"), line
                lines.append(line.rstrip("\r\n"))
                if line[3] == " ":
                    return "\n".join(lines)

    async def ask(self, command: str | bytes) -> str:
        self.send(command if isinstance(command, bytes) else command.encode() + b"\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        await self.writer.start_tls(tls.contexts()[1])

    async def begin(self, sender: str = "a@shop.example", *recipients: str) -> str:
        """MAIL and RCPT; the last reply."""
        answer = await self.ask(f"MAIL FROM:<{sender}>")
        for recipient in recipients or ("b@example.net",):
            answer = await self.ask(f"RCPT TO:<{recipient}>")
        return answer

    async def message(self, octets: bytes = b"Subject: hi\r\n\r\nhello\r\n") -> str:
        """A whole transaction; the reply to the final dot."""
        await self.begin()
        assert (await self.ask("DATA")).startswith("354")
        return await self.ask(octets + b".\r\n")

    async def rest(self) -> AsyncIterator[str]:
        """All replies until the connection ends."""
        while answer := await self.reply():
            yield answer

    async def is_closed(self) -> bool:
        """True when the server closes without another word."""
        try:
            return await self.reply() == ""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Leave without a goodbye: the server's next read fails."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, OSError):
            return
