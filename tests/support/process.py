"""One process of a box inside the test's own event loop, beside a fake mta that remembers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.core import clock
from appliance.core.errors import NotFoundError
from appliance.core.home import Home
from appliance.core.ids import IdMaker
from appliance.core.metrics import Metrics, render
from appliance.core.rpc import RpcServer
from appliance.core.settings import Settings
from appliance.run.process import Context
from tests.support.homes import initialised

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

HOSTNAME = "box.example"
PROCESSES = ("mta-0", "inbound", "worker", "web")


def loopback() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.settimeout(0)
    return sock


async def new_home(path: Path, settings: Settings) -> Home:
    """What `pillarbox init` makes."""
    home = Home(path)
    await initialised(home, settings)
    return home


def settings_of(**sections: Any) -> Settings:
    values = {"box": {"hostname": HOSTNAME}, "processes": {"drain_timeout": 5.0}}
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    return msgspec.convert(values, Settings)


def context_of(
    name: str, home: Home, settings: Settings, sockets: dict[str, socket.socket]
) -> Context:
    return Context(
        name=name,
        home=home,
        settings=settings,
        sockets=sockets,
        shards=(0,),
        processes=PROCESSES,
        inbound_place=("127.0.0.1", 25),
        stop=asyncio.Event(),
    )


@asynccontextmanager
async def running(
    main: Callable[[Context], Awaitable[None]], context: Context
) -> AsyncIterator[asyncio.Task[None]]:
    """`main` until the end of the block; it must end by itself when told to stop."""

    async def run() -> None:
        await main(context)

    task = asyncio.create_task(run())
    server = context.home.socket(context.name)
    try:
        async with asyncio.timeout(60):
            while not server.exists():
                if task.done():
                    break
                await asyncio.sleep(0.01)
        assert not task.done(), task
        yield task
    finally:
        context.stop.set()
        async with asyncio.timeout(60):
            await task


@dataclass
class FakeMta:
    """Answers as the mta process that owns shard 0 would."""

    name: str = "mta-0"
    late: list[dict[str, Any]] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[int, list[str]] = field(default_factory=dict)
    outbox: list[list[Any]] = field(default_factory=list)
    is_well: bool = True
    _ids: IdMaker = field(default_factory=lambda: IdMaker(0))

    def message(self, *addresses: str) -> int:
        message_id = self._ids.make(clock.now_ms())
        self.sent[message_id] = list(addresses)
        return message_id

    def event(self, message_id: int, n: int, kind: str, data: dict[str, Any], at: int = 0) -> None:
        seq = len(self.outbox) + 1
        row = [seq, message_id, n, kind, at or clock.now_ms(), msgspec.json.encode(data)]
        self.outbox.append(row)

    @asynccontextmanager
    async def serving(self, home: Home) -> AsyncIterator[FakeMta]:
        metrics = Metrics()
        metrics.delivered.inc("example.net", "default")

        async def health(_: object) -> dict[str, Any]:
            words = "there is room" if self.is_well else "no space left"
            checks = {"disk": {"ok": self.is_well, "words": words}}
            return {"process": self.name, "ok": self.is_well, "checks": checks}

        async def exposition(_: object) -> bytes:
            return render(metrics.registry)

        async def shards(_: object) -> list[int]:
            return [0]

        handlers = {
            "health": health,
            "metrics": exposition,
            "shards": shards,
            "queue_show": self._show,
            "late": self._late,
            "submit": self._submit,
            "outbox_read": self._read,
            "outbox_ack": self._acknowledge,
        }
        server = RpcServer(home.socket(self.name), handlers)
        await server.start()
        try:
            yield self
        finally:
            await server.close()

    async def _show(self, payload: dict[str, Any]) -> dict[str, Any]:
        message_id = payload["id"]
        if message_id not in self.sent:
            raise NotFoundError("no such message")
        return {
            "recipients": [
                {"message_id": message_id, "n": n, "address": address, "tenant_id": 7}
                for n, address in enumerate(self.sent[message_id])
            ]
        }

    async def _late(self, payload: dict[str, Any]) -> None:
        self.late.append(payload)

    async def _submit(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.submitted.append(payload)
        return {"id": len(self.submitted)}

    async def _read(self, payload: dict[str, Any]) -> list[list[Any]]:
        return [row for row in self.outbox if row[0] > payload["after"]][: payload["limit"]]

    async def _acknowledge(self, payload: dict[str, Any]) -> None:
        self.outbox = [row for row in self.outbox if row[0] > payload["upto"]]
