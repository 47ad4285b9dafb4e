"""The HTTP API: how many messages a second it accepts durably, and what each costs, beside SMTP.

    .venv/bin/python bench/api.py --json api.json                                about two minutes

One box as in production with one mta process, delivery held by the kill switch, letters of 4 KB of text:

    one     POST /send, a message each          --connections at once, kept
    batch   POST /send/batch, 100 each          2 at once
    smtp    the same letters on kept SMTP sessions, for comparison: the floor that the spool sets

Turns of all three, medians of --reps. The client writes prepared requests on raw sockets in a process of its
own and shares the cores with the box: CPU a message by process is the figure that travels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relay.base import SENDER, BenchError
from relay.ours import _SCOPE, TENANT, Pillarbox
from relay.processes import TICKS, machine, memory_mb, stat

from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.keys import Keys, Wish
from appliance.operations import Operations
from appliance.rights import GRANTS, Right, Role
from appliance.run.sockets import published
from appliance.tenancy import Tenants

if TYPE_CHECKING:
    from collections.abc import Callable

LINE: Final = "The quick brown fox jumps over the lazy dog, and on it goes so.\n"
TEXT: Final = LINE * (4096 // len(LINE))
BATCH: Final = 100


@dataclass(slots=True, kw_only=True)
class Run:
    """One turn of one kind."""

    per_second: float
    cpu_ms: dict[str, float] = field(default_factory=dict)  # a message, by process
    others_percent: float = 0.0
    pss_mb: float = 0.0


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=4000, help="of a turn")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    work = Path(tempfile.mkdtemp(prefix="bench-api-"))
    box = Pillarbox(work, processes=1)
    try:
        box.start()
        token = asyncio.run(prepare(box))
        found = turns(box, token, options)
    except BenchError as error:
        print(f"api: {error}", file=sys.stderr)
        return 1
    finally:
        box.stop()
        shutil.rmtree(work, ignore_errors=True)
    result = {name: summary(runs) for name, runs in found.items()}
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


async def prepare(box: Pillarbox) -> str:
    """Hold delivery and make a key; its token."""
    settings = box.settings()
    engine = open_engine(box.home.control_location(settings))
    hasher = MasterKeys.load(box.home.keys_file)
    try:
        tenant = await Tenants(engine).get(_SCOPE, TENANT)
        await Operations(engine).kill(_SCOPE, reason="held for the measurement")
        wish = Wish(name="bench", rights=frozenset({Right.MESSAGES_SEND}))
        keys = Keys(engine, hasher, Credentials(engine, hasher))
        made = await keys.create(_SCOPE, wish, held=GRANTS[Role.ADMIN], tenant_id=tenant.id)
    finally:
        await engine.dispose()
    await asyncio.sleep(1.5)  # until all processes know it
    return made.token


def turns(box: Pillarbox, token: str, options: argparse.Namespace) -> dict[str, list[Run]]:
    """Every kind, in turns."""
    port = published(box.home)["web"][1]
    one = http_request("/api/v1/send", token, letter())
    many = http_request("/api/v1/send/batch", token, {"messages": [letter()] * BATCH})
    kinds: dict[str, tuple[Callable[..., None], tuple[Any, ...], int]] = {
        "one": (http_client, (port, one, options.messages, options.connections, 202), 1),
        "batch": (http_client, (port, many, options.messages // BATCH, 2, 200), BATCH),
        "smtp": (smtp_client, (box.port, options.messages, options.connections), 1),
    }
    found: dict[str, list[Run]] = {name: [] for name in kinds}
    for turn in range(options.reps + 1):
        for name, (client, arguments, _) in kinds.items():
            run = measured(box, client, arguments, options.messages)
            if turn:  # the first warms up
                found[name].append(run)
    return found


def measured(
    box: Pillarbox, client: Callable[..., None], arguments: tuple[Any, ...], messages: int
) -> Run:
    """One turn, with the CPU of each process of the box until a second after its end."""
    pids = box.parts()
    before, whole = {name: ticks(pid) for name, pid in pids.items()}, machine()
    process = multiprocessing.get_context("spawn").Process(target=client, args=arguments)
    process.start()
    process.join(300)
    if process.exitcode != 0:
        process.kill()
        raise BenchError(f"the client ended with {process.exitcode}")
    seconds = float((Path("/dev/shm") / f"bench-api-{process.pid}").read_text())
    (Path("/dev/shm") / f"bench-api-{process.pid}").unlink()
    time.sleep(1.0)
    after, end = {name: ticks(pid) for name, pid in pids.items()}, machine()
    used = {name: (after[name] - before[name]) / TICKS * 1000 / messages for name in pids}
    ours = sum(after.values()) - sum(before.values())
    spent = (end.ticks - end.idle) - (whole.ticks - whole.idle)
    others = max(0, spent - ours) / max(1, end.ticks - whole.ticks)
    return Run(
        per_second=messages / seconds,
        cpu_ms=used,
        others_percent=100 * others,
        pss_mb=memory_mb(box.roots())[0],
    )


def ticks(pid: int) -> int:
    """CPU of a process."""
    found = stat(pid)
    return found.own if found else 0


def letter() -> dict[str, Any]:
    """4 KB of text."""
    return {
        "from": SENDER,
        "to": ["jane@dst.example"],
        "subject": "a letter of four thousand octets",
        "text": TEXT,
        "tags": ["bench"],
    }


def http_request(path: str, token: str, body: Any) -> bytes:
    """A whole request as octets."""
    octets = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(octets)}\r\n\r\n"
    )
    return head.encode() + octets


def http_client(port: int, request: bytes, count: int, connections: int, status: int) -> None:
    """Send the request so often, on so many connections; runs in a process of its own."""
    left = iter(range(count))

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if int(head.split(None, 2)[1]) != status:
                raise SystemExit(f"the API answered {head!r}")
            length = next(
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
        writer.close()

    asyncio.run(timed(port, connections, one))


def smtp_client(port: int, count: int, connections: int) -> None:
    """The same letters over kept SMTP sessions."""
    left = iter(range(count))
    data = f"From: {SENDER}\r\nTo: jane@dst.example\r\nSubject: a letter\r\n\r\n" + TEXT.replace(
        "\n", "\r\n"
    )
    envelope = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<jane@dst.example>\r\nDATA\r\n".encode()
    content = data.encode() + b".\r\n"

    async def answer(reader: asyncio.StreamReader, code: bytes) -> None:
        while True:
            line = await reader.readline()
            if not line.startswith(code):
                raise SystemExit(f"SMTP answered {line!r}")
            if line[3:4] == b" ":
                return

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, b"220")
        writer.write(b"EHLO bench.example\r\n")
        await answer(reader, b"250")
        for _ in left:
            writer.write(envelope)
            for code in (b"250", b"250", b"354"):
                await answer(reader, code)
            writer.write(content)
            await answer(reader, b"250")
        writer.close()

    asyncio.run(timed(port, connections, one))


async def timed(port: int, connections: int, one: Callable[..., Any]) -> None:
    """Open the connections, then measure."""
    opened = [
        await asyncio.open_connection("127.0.0.1", port, limit=1 << 20) for _ in range(connections)
    ]
    started = time.monotonic()
    await asyncio.gather(*(one(reader, writer) for reader, writer in opened))
    seconds = time.monotonic() - started
    (Path("/dev/shm") / f"bench-api-{multiprocessing.current_process().pid}").write_text(
        str(seconds)
    )


def summary(runs: list[Run]) -> dict[str, Any]:
    """Medians."""
    median = statistics.median
    names = runs[0].cpu_ms
    return {
        "per_second": round(median(run.per_second for run in runs)),
        "cpu_ms": {
            name: round(median(run.cpu_ms[name] for run in runs), 2)
            for name in names
            if name in ("web", "mta-0", "worker")
        },
        "others_percent": round(median(run.others_percent for run in runs)),
        "pss_mb": round(median(run.pss_mb for run in runs)),
        "all": [round(run.per_second) for run in runs],
    }


def table(result: dict[str, dict[str, Any]]) -> str:
    """For people."""
    lines = ["way    messages/s  CPU ms web / mta / worker  clients and others %  memory MB  turns"]
    for name, row in result.items():
        cpu = " / ".join(f"{row['cpu_ms'].get(part, 0):.2f}" for part in ("web", "mta-0", "worker"))
        turns_ = ", ".join(map(str, row["all"]))
        lines.append(
            f"{name:<6} {row['per_second']:>10}  {cpu:<25}  {row['others_percent']:>20}  "
            f"{row['pss_mb']:>9}  {turns_}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
