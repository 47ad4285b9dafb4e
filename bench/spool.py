"""Spool: what an accepted and settled message costs, through the shard as the mta uses it.

    python -m bench.spool [--messages 3000] [--rounds 3] [--only sqlite|postgres]

Sessions accept a message, wait until it is durable, and report its outcome without waiting, as the
delivery does. The table has messages a second, CPU of this process a message (all threads; what a
PostgreSQL server burns is not in it) and commits a message; medians of the rounds. SQLite lies in a
temporary folder under --folder, PostgreSQL runs with fsync. No signing, no network.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _pytest.outcomes import Failed, Skipped

from appliance.core import clock
from appliance.core.database import Location, open_sync_engine
from appliance.core.migrate import upgrade
from mta.spool.backend import Backend, PostgresBackend, SqliteBackend
from mta.spool.shard import Shard
from mta.status import Status
from tests.support import postgres
from tests.support.recipients import admitted, recipient, settlement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.message import Admitted

SIZES = (4 * 1024, 100 * 1024)
SESSIONS = (1, 20, 100)


@dataclass(frozen=True, slots=True)
class Figures:
    """One round."""

    per_second: float
    cpu_us: float
    commits: float


class Commits:
    """Counts flushes."""

    def __init__(self) -> None:
        self.count = 0

    def committed(self, jobs: int, seconds: float) -> None:
        self.count += 1


def letters(shard: Shard, count: int, size: int) -> list[Admitted]:
    """Messages with ids of their own, made before the clock starts."""
    content = b"Subject: x\r\n\r\n" + b"x" * (size - 14)
    ids = [shard.new_id(clock.now_ms()) for _ in range(count)]
    return [admitted(number, recipient(number), content=content) for number in ids]


async def session(shard: Shard, mail: Iterator[Admitted], settled: asyncio.Semaphore) -> None:
    """One client after the other."""
    for one in mail:
        await shard.accept(one)
        outcome = settlement(one.recipients[0], Status.DELIVERED)
        shard.settle([outcome], [], lambda _: settled.release())


async def measure(shard: Shard, commits: Commits, count: int, size: int, sessions: int) -> Figures:
    """Accept and settle `count` messages; the end is when all outcomes are durable."""
    mail, settled = iter(letters(shard, count, size)), asyncio.Semaphore(0)
    commits.count = 0
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(session(shard, mail, settled) for _ in range(sessions)))
    for _ in range(count):
        await settled.acquire()
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    await shard.call(lambda store, batch: store.purge(batch.now + 1, batch.now, count))
    await shard.call(lambda store, _: store.acknowledge(1 << 60))
    return Figures(count / took, cpu / count * 1e6, commits.count / count)


async def run(name: str, backend: Backend, messages: int, rounds: int) -> None:
    """All sizes and numbers of sessions on one database."""
    commits = Commits()
    shard = await Shard.open(
        backend, 0, on_fatal=lambda: print("the shard is lost"), observer=commits
    )
    try:
        for size in SIZES:
            for sessions in SESSIONS:
                count = max(100, messages // (1 if sessions > 1 else 3) // max(1, size // 32768))
                await measure(shard, commits, min(200, count), size, sessions)  # warm
                found = [
                    await measure(shard, commits, count, size, sessions) for _ in range(rounds)
                ]
                print_row(name, size, sessions, found)
    finally:
        await shard.close()


def print_row(name: str, size: int, sessions: int, found: list[Figures]) -> None:
    per_second = statistics.median(f.per_second for f in found)
    cpu = statistics.median(f.cpu_us for f in found)
    commits = statistics.median(f.commits for f in found)
    print(
        f"{name:10} {size // 1024:6} KB {sessions:9} {per_second:9,.0f} {cpu:9.0f} {commits:9.3f}",
        flush=True,
    )


def migrated(location: Location) -> None:
    engine = open_sync_engine(location)
    upgrade("spool", engine)
    engine.dispose()


@contextmanager
def sqlite(folder: Path | None) -> Iterator[Backend]:
    """A fresh spool file."""
    with tempfile.TemporaryDirectory(prefix="pillarbox-bench-", dir=folder) as place:
        path = Path(place) / "spool-0.db"
        backend = SqliteBackend(path)
        backend.connect().close()  # sets the page size, which a migration could not
        migrated(path)
        yield backend


@contextmanager
def postgresql(_folder: Path | None) -> Iterator[Backend]:
    """A server of its own, durable."""
    server = postgres.start(durable=True)
    try:
        url = server.create("bench")
        migrated(url)
        yield PostgresBackend(url)
    finally:
        server.stop()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    chosen = parser.parse_args()
    print(f"{'database':10} {'size':>9} {'sessions':>9} {'msgs/s':>9} {'CPU us':>9} {'commits':>9}")
    if chosen.only != "postgres":
        with sqlite(chosen.folder) as backend:
            asyncio.run(run("SQLite", backend, chosen.messages, chosen.rounds))
    if chosen.only != "sqlite":
        with suppress(Skipped, Failed), postgresql(chosen.folder) as backend:
            asyncio.run(run("PostgreSQL", backend, chosen.messages, chosen.rounds))


if __name__ == "__main__":
    main()
