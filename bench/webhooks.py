"""Webhooks: events a second to a hundred receivers of which some are dead, processes apart, on loopback.

    python bench/webhooks.py [--seconds 30] [--rate 1000] [--receivers 100] [--dead 10] [--once] [--json FILE]

A feeder writes events into the log as the worker does, a sender reads and posts them with its store in
control.db, and a receiver's process answers for those that live. Of the dead, half refuse connections and
half take them and never answer. It is run twice, without dead receivers and with them; what counts is what
the living get: how many, and how long after the event was in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.core import clock, tasks
from appliance.core.database import open_engine
from appliance.core.home import Home
from appliance.core.ids import IdMaker
from appliance.core.metrics import Metrics, render
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.core.settings import Settings
from appliance.history import LogWriter, OutboxRow, write_partitions
from appliance.history.read_outbox import read
from appliance.run.initialise import initialise
from appliance.run.webhook_sender import PAUSE, WebhookSender, webhooks_of
from appliance.tenancy import Tenants
from appliance.webhooks import TYPES

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Event

ADMIN = Scope.system(by="bench")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TICK = 0.1


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    home: Path
    seconds: float
    rate: int
    receivers: int
    dead: int
    settle: float  # seconds that are given to what is under way at the end

    @property
    def settings(self) -> Settings:
        allowed = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
        return msgspec.convert({"webhooks": allowed}, Settings)


class Living(asyncio.Protocol):
    """Answers 200 and notes how old the event was."""

    ages: list[float] = []

    def __init__(self) -> None:
        self._octets = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._octets += data
        while (end := self._octets.find(b"\r\n\r\n")) >= 0:
            head = self._octets[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self._octets) < end + 4 + length:
                return
            body = self._octets[end + 4 : end + 4 + length]
            self._octets = self._octets[end + 4 + length :]
            written = float(json.loads(body)["data"]["subject"])
            self.ages.append((time.time() - written) * 1000)
            self._transport.write(ANSWER)


class Hanging(asyncio.Protocol):
    """Takes everything and says nothing."""


def _behaviour(plan: Plan, number: int) -> type[asyncio.Protocol] | None:
    """The dead come first; every other one refuses connections."""
    if number >= plan.dead:
        return Living
    return Hanging if number % 2 else None


def receive(plan: Plan, pipe: Connection, stop: Event) -> None:
    """The receivers' process: their ports, and at the end what they saw."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        kinds = [_behaviour(plan, number) for number in range(plan.receivers)]
        servers = [await loop.create_server(kind or Hanging, "127.0.0.1", 0) for kind in kinds]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        for kind, server in zip(kinds, servers, strict=True):
            if kind is None:
                server.close()
        while not stop.is_set():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        pipe.send(Living.ages)

    asyncio.run(work())


def feed(plan: Plan, pipe: Connection) -> None:
    """The feeder's process: events into the log, so many a second."""
    writer = LogWriter(write_partitions(plan.home / "log"), keep_days=30)
    writer.open()
    maker, seq, written, start = IdMaker(0), 0, 0, time.monotonic()
    while (passed := time.monotonic() - start) < plan.seconds:
        due = int(passed * plan.rate) - written
        rows = []
        for number in range(due):
            seq += 1
            tenant = 1 + (written + number) % plan.receivers
            rows.append(OutboxRow(seq, maker.make(clock.now_ms()), -1, "accepted", 0, b""))
            rows[-1] = msgspec.structs.replace(rows[-1], at=clock.now_ms(), data=_data(tenant))
        if rows:
            events, rejected = read(0, rows, writer.today)
            assert not rejected, rejected[0]
            writer.write(0, events)
        written += due
        time.sleep(TICK)
    writer.close()
    living = sum(n % plan.receivers >= plan.dead for n in range(written))
    pipe.send((written, living))


def _data(tenant: int) -> bytes:
    to = "somebody@receiver.example"
    said = {
        "tenant": tenant,
        "credential": tenant,
        "class": "transactional",
        "sender": "app@shop.example",
        "from": "app@shop.example",
        "message_id": "<1@shop.example>",
        "subject": str(time.time()),
        "size": 4096,
        "tags": ["order"],
        "metadata": '{"order": 12}',
        "recipients": [[0, to, "receiver.example", "queued"]],
    }
    return msgspec.json.encode(said)


def send(plan: Plan, pipe: Connection, stop: Event) -> None:
    """The sender's process: its loop, and at the end what it cost."""

    async def work() -> None:
        home, settings, metrics = Home(plan.home), plan.settings, Metrics()
        engine = open_engine(home.control_db)
        keys = MasterKeys.load(home.keys_file)
        sender = WebhookSender(settings, home, engine, keys, metrics)
        over = asyncio.Event()
        loop = tasks.spawn(
            tasks.run_forever(sender.step, name="sender", pause=PAUSE, stop=over), name="sender"
        )
        await asyncio.sleep(1)
        before = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send("ready")
        while not stop.is_set():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        after = resource.getrusage(resource.RUSAGE_SELF)
        over.set()
        await loop
        await sender.close()
        await engine.dispose()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        told = [x for x in render(metrics.registry).decode().splitlines() if "webhook_d" in x]
        counted = [line for line in told if not line.startswith("#")]
        pipe.send({"cpu": cpu, "rss_mb": after.ru_maxrss / 1024, "attempts": counted})

    asyncio.run(work())


async def prepare(plan: Plan, ports: list[int]) -> None:
    """A box with as many tenants as receivers."""
    home = Home(plan.home)
    made = await initialise(home, plan.settings)
    engine = open_engine(home.control_db)
    webhooks = webhooks_of(plan.settings, engine, made.keys)
    for number, port in enumerate(ports):
        tenant = await Tenants(engine).create(ADMIN, name=f"t{number}")
        url = f"http://127.0.0.1:{port}/{number}"
        await webhooks.create(ADMIN, url=url, types=TYPES, tenant_id=tenant.id)
    await engine.dispose()


def run(plan: Plan) -> dict[str, Any]:
    """One run."""
    context = multiprocessing.get_context("spawn")
    stop_sender, stop_receivers = context.Event(), context.Event()
    pipes = [context.Pipe() for _ in range(3)]
    receivers = context.Process(target=receive, args=(plan, pipes[0][1], stop_receivers))
    receivers.start()
    asyncio.run(prepare(plan, pipes[0][0].recv()))
    sender = context.Process(target=send, args=(plan, pipes[1][1], stop_sender))
    sender.start()
    pipes[1][0].recv()
    feeder = context.Process(target=feed, args=(plan, pipes[2][1]))
    feeder.start()
    written, living = pipes[2][0].recv()
    time.sleep(plan.settle)
    stop_sender.set()
    cost = pipes[1][0].recv()
    stop_receivers.set()
    ages = sorted(pipes[0][0].recv())
    for process in (feeder, sender, receivers):
        process.join()
    return _figures(plan, written, living, ages, cost)


def _figures(
    plan: Plan, written: int, living: int, ages: list[float], cost: dict[str, Any]
) -> dict[str, Any]:
    share = statistics.quantiles(ages, n=100) if len(ages) > 1 else [0.0] * 99
    return {
        "receivers": plan.receivers,
        "dead": plan.dead,
        "events": written,
        "events_per_second": round(written / plan.seconds),
        "for_the_living": living,
        "arrived": len(ages),
        "p50_ms": round(share[49]),
        "p95_ms": round(share[94]),
        "p99_ms": round(share[98]),
        "last_ms": round(ages[-1]) if ages else 0,
        "sender_cpu_us_per_event": round(cost["cpu"] / max(1, written) * 1e6),
        "sender_cores": round(cost["cpu"] / plan.seconds, 2),
        "sender_rss_mb": round(cost["rss_mb"]),
        "attempts": cost["attempts"],
    }


def main() -> None:
    """Run, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--receivers", type=int, default=100)
    parser.add_argument("--dead", type=int, default=10)
    parser.add_argument("--settle", type=float, default=10)
    parser.add_argument("--once", action="store_true", help="only with the dead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs = []
    for dead in sorted({given.dead} if given.once else {0, given.dead}):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            plan = Plan(home, given.seconds, given.rate, given.receivers, dead, given.settle)
            runs.append(run(plan))
    print(f"{os.cpu_count()} cores; {given.seconds:g} s of {given.rate} events/s")
    for name in runs[0]:
        if name != "attempts":
            print(f"{name:<26}", *(f"{one[name]:>10}" for one in runs))
    for one in runs:
        print(*one["attempts"], sep="\n")
    if given.json:
        given.json.write_text(json.dumps({"runs": runs}, indent=2) + "\n")
    failed = [one for one in runs if one["arrived"] < one["for_the_living"]]
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
