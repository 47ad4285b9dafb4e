"""Listener: SMTP servers on listening sockets that are open already.

The supervisor opens the sockets and every process inherits them, so that a process can be replaced
without a refused connection. `stop()` closes only this process's copy; connections that wait in the
kernel's queue are taken by the others.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from mta.submission.protocol import SmtpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from pathlib import Path

    from mta.submission.service import Service
    from mta.submission.sessions import Sessions

BACKLOG: Final = 512


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
                lambda: SmtpProtocol(self.service), sock=sock, backlog=BACKLOG
            )
            self._servers.append(server)

    def stop(self) -> None:
        """Accept no more; open sessions go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()


async def drain(listeners: Iterable[Listener], sessions: Sessions, seconds: float) -> bool:
    """Stop accepting and end all sessions; False when some had to be cut at the deadline."""
    for listener in listeners:
        listener.stop()
    return await sessions.drain(seconds)


def tls_context(certificate: Path | str, private_key: Path | str) -> ssl.SSLContext:
    """A server context for TLS 1.2 and later. Raises OSError when a file cannot be used.

    A renewed certificate is taken by loading it into the same context (`load_cert_chain`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, private_key)
    return context
