"""A small HTTPS server for tests: it answers one path as told and keeps what was posted to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl


class WebHost:
    """Answers every request with `status`, `content_type` and `body`, after `delay` seconds."""

    def __init__(self, context: ssl.SSLContext, body: str = "") -> None:
        self.context, self.body = context, body
        self.status, self.content_type = 200, "text/plain; charset=us-ascii"
        self.location = ""
        self.delay = 0.0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []  # first line, headers, body
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append((head[0], headers, body))
            await asyncio.sleep(self.delay)
            writer.write(self._answer())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self) -> bytes:
        octets = self.body.encode()
        location = f"Location: {self.location}\r\n" if self.location else ""
        return (
            f"HTTP/1.1 {self.status} whatever\r\nContent-Type: {self.content_type}\r\n{location}"
            f"Content-Length: {len(octets)}\r\nConnection: close\r\n\r\n"
        ).encode() + octets
