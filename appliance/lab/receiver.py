"""An SMTP receiver that keeps what it gets and misbehaves on request (script.py).

    async with Receiver(Script(always={Point.RCPT: "550 5.1.1 no such user"})) as mx: ... mx.port

One protocol object a connection, replies of one read in one write: it takes thousands of messages a
second. It believes everything and checks no sequence of commands beyond what SMTP needs to be spoken;
it is no mail server and listens on loopback only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Self

from appliance.lab.certificate import self_signed, server_context
from appliance.lab.receiver_session import ReceiverSession
from appliance.lab.script import Script, Starttls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from appliance.lab.script import Received


class Receiver:
    """The server. `script` may be changed while it runs; `on_message` hears of each message."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        on_message: Callable[[Received], None] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`context` brings a certificate of its own; else one is made that nobody vouches for."""
        self.script = script or Script()
        self.messages: list[Received] = []
        self.commands: list[tuple[int, str]] = []  # session, line
        self.reads: list[tuple[int, str]] = []  # session, what came in one read outside of content
        self.count = 0  # messages taken
        self.sessions = 0
        self.open_sessions = 0
        self.port = 0
        self.certificate = b""
        self.on_message = on_message
        self.greylisted: Counter[tuple[str, str]] = Counter()
        self._server: asyncio.Server | None = None
        self._context = context
        self._live: set[ReceiverSession] = set()

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context, made when first needed."""
        if self._context is None:
            self.certificate, key = self_signed([self.script.name, "localhost"])
            self._context = server_context(self.certificate, key)
        return self._context

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 lets the system choose."""
        needs_tls = self.script.starttls is not Starttls.NONE or self.script.implicit_tls
        context = self.context if needs_tls else None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ReceiverSession(self),
            host,
            port,
            ssl=context if self.script.implicit_tls else None,
            backlog=1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for session in tuple(self._live):
            session.abort()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # lets the transports run their last call

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def hang_up(self) -> None:
        """Close every open connection from this side, as an idle time-out would."""
        for session in tuple(self._live):
            session.close()

    def say(self, text: str) -> None:
        """Say something to everybody, unasked."""
        for session in tuple(self._live):
            session.say(text)

    def joined(self, session: ReceiverSession) -> int:
        """A connection was made; returns its number."""
        self._live.add(session)
        self.sessions += 1
        self.open_sessions += 1
        return self.sessions

    def left(self, session: ReceiverSession) -> None:
        """A connection has ended."""
        self._live.discard(session)
        self.open_sessions -= 1

    def take(self, message: Received) -> None:
        """A message was received whole."""
        self.count += 1
        if self.script.keep:
            self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)
