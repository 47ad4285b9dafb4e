"""Listener: SMTP servers on listening sockets that are open already.

The supervisor opens the sockets and every process inherits them, so that a process can be replaced
without a refused connection. `stop()` closes only this process's copy; connections that wait in the
kernel's queue are taken by the others.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

from mta.submission.protocol import SmtpProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mta.submission.service import Service
    from mta.submission.sessions import Sessions

BACKLOG: Final = 512
AT_ONCE: Final = 4
"""Connections that a process takes at each look. With asyncio's way, as many as the backlog, a burst of a
hundred clients all went to one process, for as long as they stayed, and the others stood idle."""


class Listener:
    """One service on its sockets."""

    def __init__(self, service: Service, sockets: Iterable[socket.socket]) -> None:
        self.service = service
        self._sockets = tuple(sockets)
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            server = await loop.create_server(
                lambda: SmtpProtocol(self.service), sock=_Shared(sock), backlog=AT_ONCE
            )
            self._servers.append(server)

    def stop(self) -> None:
        """Accept no more; open sessions go on."""
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        self._servers.clear()


class _Shared(socket.socket):
    """A second handle of a listening socket; asyncio's one number for two things is not its backlog."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))

    def listen(self, _at_once: int = AT_ONCE, /) -> None:
        super().listen(BACKLOG)


async def drain(listeners: Iterable[Listener], sessions: Sessions, seconds: float) -> bool:
    """Stop accepting and end all sessions; False when some had to be cut at the deadline."""
    for listener in listeners:
        listener.stop()
    return await sessions.drain(seconds)


def tls_context() -> ssl.SSLContext:
    """A server context for TLS 1.2 and later, without a certificate yet (`load_cert_chain`).

    It holds the keys of its session tickets (RFC 5077): a process that inherits it goes on with sessions that
    another one began.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
