"""A receiver of webhooks that misbehaves on request, over a real socket, and a sender in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.core.metrics import Metrics
from appliance.core.secrets import MasterKeys
from appliance.core.settings import Webhooks as Settings
from appliance.history import LogReader, LogWriter
from appliance.history.read_outbox import read
from appliance.webhooks import Allowed, Post, Sender, SenderStore, Stream, WebhookClient
from tests.support.history import Outbox

KEYS = MasterKeys({1: b"k" * 32})
LOOPBACK = Allowed(["127.0.0.0/8"])
FAST = Settings(allow_http=True, allow_networks=("127.0.0.0/8",), retry=(0.05, 0.05))


@dataclass
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def name(self) -> str:
        return self.headers["webhook-id"]


Answering = Callable[[Got], "bytes | Awaitable[bytes]"]


def answer(status: int, text: str = "", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(text.encode())}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


OK = answer(200, "thanks")


@dataclass
class Receiver:
    """Keeps what it was told; `answering` says what it answers."""

    answering: Answering = lambda _: OK
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "http"
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (task := asyncio.current_task()) is not None:
            self.tasks.append(task)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # asyncio complains about a handler that was cancelled
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            got = await _request(reader)
            self.got.append(got)
            said = self.answering(got)
            writer.write(said if isinstance(said, bytes) else await said)
            await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")[1:-2]
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    return Got(headers, await reader.readexactly(int(headers["content-length"])))


@contextlib.asynccontextmanager
async def receiver(
    answering: Answering = lambda _: OK, *, context: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    one = Receiver(answering, scheme="https" if context else "http")
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for task in one.tasks:
            task.cancel()
        await asyncio.gather(*one.tasks, return_exceptions=True)


class NoNames:
    """A look-up that nobody needs."""

    async def addresses(self, name: str, *, ipv6: bool) -> Any:
        raise AssertionError(f"nobody asks for {name} ({ipv6})")


def sender(
    engine: Any, reader: LogReader, settings: Settings = FAST, metrics: Metrics | None = None
) -> Sender:
    """As the worker makes it."""
    counted = metrics or Metrics()
    store = SenderStore(engine, KEYS)
    client = WebhookClient(NoNames(), Allowed(settings.allow_networks), total_seconds=2.0)
    post = Post(store=store, client=client, settings=settings, metrics=counted, roll=lambda: 0.5)
    return Sender(store=store, stream=Stream(reader), post=post, metrics=counted)


def ship(writer: LogWriter, outbox: Outbox) -> None:
    """What the outbox has goes into the log."""
    events, rejected = read(outbox.shard, outbox.take(), writer.today)
    assert rejected == []
    writer.write(outbox.shard, events)


@contextlib.asynccontextmanager
async def turning(one: Sender) -> AsyncIterator[Sender]:
    """The sender's loop, until the end of the block."""

    async def turn() -> None:
        while True:
            if not await one.step():
                await asyncio.sleep(0.01)

    loop = asyncio.create_task(turn())
    try:
        yield one
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        if not loop.cancelled() and loop.exception():
            loop.result()
        await one.close(grace=0.5)
