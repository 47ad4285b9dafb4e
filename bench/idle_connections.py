"""Idle connections: what many clients that only stay connected cost the mta process, over time.

    python bench/idle_connections.py --json idle.json --plot idle.svg

Each part runs a fresh box with defaults: so many connections are opened at a rate from 200 addresses, say
EHLO, are idle for a time, and leave; once in the clear and once under TLS. A last part is a flood: 100,000
connections in a minute from one address, as fast as one process can make them. All the while one client
sends a message every 50 ms and times it. Memory is PSS of the mta process, its share of what processes
have in common included; processes: 1, so that it takes all of them.

Needs as many open files as connections, here and in the box (ulimit -Hn). Fails with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import shutil
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import msgspec
from depth.box import RunningBox
from idle.look import Look
from idle.plot import svg
from relay.base import BenchError
from relay.processes import memory_mb

from appliance.core.database import open_engine
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Settings
from appliance.core.settings_reference import to_toml
from appliance.domains import Domains
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.initialise import initialise
from appliance.tenancy import Tenants

PARTS: Final = ("plain", "tls", "flood")
SOURCES: Final = 200
EVERY: Final = 0.25  # seconds between two looks at memory
SEND_EVERY: Final = 0.05
SLICE: Final = 100  # connections that one thread of the flood makes between two looks at the clock
_SCOPE: Final = Scope.system(by="bench")


def main() -> int:
    """Measure what the options say; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    work = Path(tempfile.mkdtemp(prefix="idle-connections-", dir=options.work))
    try:
        looks = [look(part, options, work / part) for part in options.parts]
    except (BenchError, OSError) as error:
        print(f"idle_connections: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for one in looks:
        print(f"{one.part:>6}: " + ", ".join(f"{k} {v:,.4g}" for k, v in one.facts.items()))
    if options.json:
        options.json.write_text(json.dumps([msgspec.to_builtins(one) for one in looks]) + "\n")
    if options.plot:
        options.plot.write_text(svg(looks, f"{options.count:,} connections, and a flood"))
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=5000, help="idle connections")
    parser.add_argument("--rate", type=int, default=500, help="opened a second, at most")
    parser.add_argument("--idle", type=float, default=20, help="seconds")
    parser.add_argument("--flood", type=int, default=100_000, help="connections of the flood")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--work", default="/var/tmp", help="where to work: a real disk")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts {unknown.pop()}: there are {', '.join(PARTS)}")
    return options


def look(part: str, options: argparse.Namespace, path: Path) -> Look:
    """One part on a box of its own."""
    asyncio.run(_make(Home(path)))
    found = Look(part)
    with RunningBox(Home(path)) as box:
        box.healthy_after()
        pid = box.pids()["mta-0"]
        asyncio.run(_warm(box.places))
        found.facts["before MB"] = memory_mb([pid])[0]
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(found, pid, stop))
        watcher.start()
        try:
            asyncio.run(_part(part, options, box, found))
        finally:
            stop.set()
            watcher.join()
        for words in box.complaints():
            print(f"  log: {words}", file=sys.stderr)
    _sum_up(found, options.count)
    return found


async def _make(home: Home) -> None:
    place = {"address": "127.0.0.1", "port": 0}
    values = {
        "box": {"hostname": "box.example"},
        "spool": {"processes": 1},
        "dns": {"nameservers": ["127.0.0.1:9"], "timeout": 1.0},
        "listeners": {
            "submission": {**place, "tls": "starttls"},
            "submissions": {**place, "tls": "implicit"},
            "inbound": {**place, "tls": "none"},
            "web": {**place, "tls": "none"},
        },
        "submission": {"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "shop"}]},
    }
    settings = msgspec.convert(values, Settings)
    home.create()
    home.config_file.write_text(to_toml(settings), encoding="utf-8")
    engine = open_engine(home.control_db)
    try:
        made = await initialise(home, settings, engine)
        tenant = await Tenants(engine).create(_SCOPE, name="shop")
        domains = Domains(
            engine, made.keys, box_names(settings), queue_life=queue_life_ms(settings)
        )
        await domains.create(_SCOPE, tenant_id=tenant.id, name="shop.example", assume_verified=True)
    finally:
        await engine.dispose()


async def _part(part: str, options: argparse.Namespace, box: RunningBox, found: Look) -> None:
    stop = asyncio.Event()
    served = asyncio.create_task(_serve(box.places["submission"], found, stop))
    await asyncio.sleep(2)
    if part == "flood":
        await asyncio.to_thread(_flood, box.places["submission"], options.flood, found)
    else:
        await _crowd(part, options, box.places, found)
    await asyncio.sleep(5)
    stop.set()
    await served


async def _crowd(
    part: str, options: argparse.Namespace, places: dict[str, tuple[str, int]], found: Look
) -> None:
    place = places["submission" if part == "plain" else "submissions"]
    context = None if part == "plain" else _trusting()
    guests: list[asyncio.StreamWriter] = []
    gate, started = asyncio.Semaphore(50), time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(started + number / options.rate - time.monotonic())
        async with gate:
            guests.append(await _connect(place, number % SOURCES, context))

    await asyncio.gather(*map(one, range(options.count)))
    found.facts["opened in s"] = time.monotonic() - started
    await asyncio.sleep(options.idle)
    for guest in guests:
        guest.transport.abort()


async def _connect(
    place: tuple[str, int], source: int, context: ssl.SSLContext | None
) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection(
        *place, ssl=context, local_addr=(f"127.0.7.{1 + source}", 0)
    )
    await _reply(reader)
    writer.write(b"EHLO client.example\r\n")
    await _reply(reader)
    return writer


def _flood(place: tuple[str, int], count: int, found: Look) -> None:
    answers = {"220": 0, "421": 0, "": 0}
    started = time.monotonic()
    for number in range(count):
        if number % SLICE == 0:  # no faster than 100,000 a minute
            time.sleep(max(0.0, started + number * 60 / count - time.monotonic()))
        try:
            with socket.create_connection(place, 10, ("127.0.0.3", 0)) as sock:
                answers[sock.recv(3).decode()] += 1
        except OSError:
            answers[""] += 1
    seconds = time.monotonic() - started
    found.facts |= {
        "connections/s": count / seconds,
        "greeted": answers["220"],
        "turned away": answers["421"],
        "failed": answers[""],
    }


async def _serve(place: tuple[str, int], found: Look, stop: asyncio.Event) -> None:
    """The client who must be served: a connection and a message each time."""
    number = 0
    while not stop.is_set():
        began = time.monotonic()
        answer = await _send(place, number)
        found.latencies.append((time.monotonic() - began) * 1000)
        found.refused += not answer.startswith(b"250")
        number += 1
        await asyncio.sleep(SEND_EVERY)


async def _send(place: tuple[str, int], number: int) -> bytes:
    reader, writer = await asyncio.open_connection(*place, local_addr=("127.0.0.2", 0))
    try:
        writer.write(
            b"EHLO app.example\r\nMAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        )
        for _ in range(5):
            answer = await _reply(reader)
            if not answer.startswith((b"2", b"354")):
                return answer
        writer.write(b"From: a@shop.example\r\nSubject: %d\r\n\r\nhello\r\n.\r\n" % number)
        return await _reply(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _warm(places: dict[str, tuple[str, int]]) -> None:
    """What is loaded at first use is no cost of a connection."""
    for name, context in (("submission", None), ("submissions", _trusting())):
        (await _connect(places[name], 0, context)).transport.abort()
    await _send(places["submission"], 0)
    await asyncio.sleep(3)


async def _reply(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        while (line := await reader.readline())[3:4] == b"-":
            pass
    return line


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _watch(found: Look, pid: int, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(EVERY):
        found.times.append(time.monotonic() - started)
        found.memory.append(memory_mb([pid])[0])
        found.open.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))


def _sum_up(found: Look, count: int) -> None:
    before, peak = found.facts["before MB"], max(found.memory)
    found.facts |= {
        "peak MB": peak,
        "after MB": found.memory[-1],
        "sent": len(found.latencies),
        "refused": found.refused,
        "p50 ms": statistics.median(found.latencies),
        "p99 ms": statistics.quantiles(found.latencies, n=100)[98],
    }
    if found.part != "flood":
        found.facts["KB a connection"] = (peak - before) * 1024 / count


if __name__ == "__main__":
    sys.exit(main())
