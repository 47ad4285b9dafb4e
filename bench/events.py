"""The event log: CPU of writing an event, how long searches take, and what counting costs.

    .venv/bin/python bench/events.py                                  a hundred thousand events, a minute
    .venv/bin/python bench/events.py --events 10000000 --json events.json --plot events.svg
    .venv/bin/python bench/events.py --events 1000000 --peer          beside a log as most are made
    .venv/bin/python bench/events.py --url postgresql://user@host/empty_database

Fills a log through the one LogWriter with batches as the shipper takes them (reading the outbox rows
from JSON included), a million events a day, and stops on the way (a hundredth, a tenth, a third) to ask
every kind of question: many times warm, and of files that the system has forgotten, each with a new
reader. Beside it the statistics count what was written. All in a temporary folder that goes at the end;
ten million events take 12 GB there.

    recipient, prefix      p95 at most 200 ms       any list         p95 at most 100 ms
    statistics             p95 at most 50 ms        writing          at most 30 us of CPU an event
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eventlog import plot
from eventlog.peer import Peer
from eventlog.questions import ask_all, ask_statistics
from eventlog.traffic import EVENTS_A_MESSAGE, START, Traffic

from appliance.core.clock import DAY
from appliance.history import LoggedEvent, LogReader, LogWriter, write_partitions
from appliance.history.files import DayFiles
from appliance.history.read_outbox import read
from appliance.history.shipper import BATCH
from appliance.run.supervisor import GC_THRESHOLDS
from appliance.statistics import Counter, Store

if TYPE_CHECKING:
    from appliance.core.database import Location

STAGES: Final = (0.01, 0.1, 0.3, 1.0)
PLOTTED: Final = (
    *("recipient", "recipient, nobody", "prefix, very many", "newest of a small tenant"),
    *("a page far down", "domain, common, small tenant", "tag", "bounced", "Message-ID header"),
    "events, a page",
)
BULK: Final = 20_000
MEASURED: Final = 40_000  # events at the end of each stage


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Filling:
    """Writes a log; the writer's clock is the traffic's.

    The last of each stage is written as the shipper does, and measured; all before in great batches
    that no disk is waited for: hours would pass otherwise.
    """

    def __init__(
        self, location: Location, messages_a_day: int, batch: int, peer: Peer | None
    ) -> None:
        self.traffic, self._batch, self._peer = Traffic(messages_a_day), batch, peer
        self._rows = self.traffic.rows()
        self._partitions = write_partitions(location)
        self._writer = LogWriter(self._partitions, keep_days=400, now=lambda: self.traffic.now)
        self._writer.open()
        self.count, self.cpu_us, self.wall_us, self.peer_us = 0, 0.0, 0.0, 0.0
        self._peer_cpu = 0.0

    def to(self, events: int) -> None:
        """Until there are so many."""
        while self.count < events - MEASURED:
            self._write(min(BULK, events - MEASURED - self.count), "OFF")
        before, began, measured = cpu(), time.perf_counter(), 0.0
        count, self._peer_cpu = self.count, 0.0
        while self.count < events:
            measured += self._write(min(self._batch, events - self.count), "FULL")
        if self.count == count:
            return
        self.cpu_us = measured / (self.count - count) * 1e6
        self.peer_us = self._peer_cpu / (self.count - count) * 1e6
        wall = time.perf_counter() - began - (cpu() - before - measured)
        self.wall_us = wall / (self.count - count) * 1e6

    def _write(self, count: int, synchronous: str) -> float:
        """CPU seconds of a batch, without making it."""
        rows = [next(self._rows) for _ in range(count)]
        self._sync(synchronous)
        before = cpu()
        events, rejected = read(0, rows, self._writer.today)
        written = self._writer.write(0, events, rejected)
        assert written.kept == count, written
        self.count += count
        used = cpu() - before
        self._write_peer(events, synchronous)
        return used

    def _write_peer(self, events: list[LoggedEvent], synchronous: str) -> None:
        if self._peer is None:
            return
        self._peer.sync(synchronous)
        before = cpu()
        self._peer.write(events)
        self._peer_cpu += cpu() - before

    def _sync(self, how: str) -> None:
        if isinstance(self._partitions, DayFiles):
            for connection in self._partitions._connections._open.values():  # noqa: SLF001
                connection.execute(f"PRAGMA synchronous={how}")

    def close(self) -> None:
        self._writer.close()


class Counting:
    """The statistics of the log; the last of each stage is measured."""

    def __init__(self, location: Location, log: Location) -> None:
        self.location = location
        self._store, self._log = Store(location), LogReader(log)
        self._store.open()
        self._counter = Counter(self._store, self._log)
        self._bulk = Counter(self._store, self._log, batch=BULK)
        self.cpu_us = 0.0

    def catch_up(self, *, measured: int = 0) -> None:
        """Count what there is; `measured` events as the worker does."""
        counter, before = self._counter if measured else self._bulk, cpu()
        while counter.step():
            pass
        if measured:
            self.cpu_us = (cpu() - before) / measured * 1e6

    def close(self) -> None:
        self._store.close()
        self._log.close()


def run(given: argparse.Namespace, folder: Path) -> None:
    log_folder = folder / "log"
    log_folder.mkdir()
    location: Location = given.url or log_folder
    peer = Peer(folder / "peer.db") if given.peer else None
    filling = Filling(location, given.events_a_day // EVENTS_A_MESSAGE, given.batch, peer)
    counting = Counting(given.url or folder / "statistics.db", location)
    stages: list[dict[str, Any]] = []
    for share in STAGES:
        events = int(given.events * share)
        filling.to(events - MEASURED)
        counting.catch_up()
        before = filling.count
        filling.to(events)
        counting.catch_up(measured=filling.count - before)
        stages.append(look(filling, counting, location, given))
        show(stages[-1])
        keep(stages, given)
    counting.close()
    filling.close()


def look(
    filling: Filling, counting: Counting, location: Location, given: argparse.Namespace
) -> dict[str, Any]:
    traffic, count = filling.traffic, filling.count
    asked = ask_all(location, traffic, times=given.times, cold=given.cold)
    counts = ask_statistics(counting.location, traffic.now, times=given.times)
    size = 0
    if isinstance(location, Path):
        size = sum(file.stat().st_size for file in location.iterdir())
    return {
        "events": count,
        "messages": traffic.messages,
        "recipients": traffic.recipients,
        "days": (traffic.now - START) / DAY,
        "write_cpu_us": filling.cpu_us,
        "write_wall_us": filling.wall_us,
        "peer_cpu_us": filling.peer_us,
        "count_cpu_us": counting.cpu_us,
        "octets_an_event": size / count,
        "asked": [asdict(one) for one in asked],
        "statistics": [asdict(one) for one in counts],
    }


def show(stage: dict[str, Any]) -> None:
    print(
        f"\n{stage['events']:,} events of {stage['messages']:,} messages to"
        f" {stage['recipients']:,} recipients in {stage['days']:.2f} days,"
        f" {stage['octets_an_event']:.0f} octets each"
    )
    print(
        f"  written with {stage['write_cpu_us']:.1f} us CPU ({stage['write_wall_us']:.1f} us wall),"
        f" counted with {stage['count_cpu_us']:.1f} us CPU an event"
    )
    if stage["peer_cpu_us"]:
        share = stage["write_cpu_us"] / stage["peer_cpu_us"]
        print(
            f"  the peer's row: {stage['peer_cpu_us']:.1f} us CPU; ours takes {share:.2f} of that"
        )
    print(f"  {'ms':36} {'rows':>5} {'p50':>8} {'p95':>8} {'limit':>6} {'CPU':>8} {'cold':>8}")
    for one in (*stage["asked"], *stage["statistics"]):
        mark = "" if one["p95"] <= one["limit"] else "  MISSED"
        print(
            f"  {one['name']:36} {one['rows']:5} {one['p50']:8.2f} {one['p95']:8.2f}"
            f" {one['limit']:6.0f} {one['cpu']:8.2f} {one['cold']:8.2f}{mark}"
        )


def keep(stages: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """After every stage: the last one takes long."""
    if given.json:
        found = {"machine": platform.processor() or platform.machine(), "stages": stages}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.plot:
        title = "Search time (p95, 50 rows a page) over the events in the log"
        given.plot.write_text(plot.svg(stages, PLOTTED, title))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--events-a-day", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--times", type=int, default=40, help="each question is asked")
    parser.add_argument("--cold", type=int, default=5, help="times of a cold log")
    parser.add_argument("--peer", action="store_true", help="write a row an event beside it")
    parser.add_argument("--url", default="", help="a PostgreSQL database instead of files")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)  # as in the box
    with tempfile.TemporaryDirectory(prefix="pillarbox-bench-", dir=given.folder) as folder:
        run(given, Path(folder))


if __name__ == "__main__":
    main()
