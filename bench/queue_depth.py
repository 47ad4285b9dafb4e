"""Queue depth: a box with up to a million waiting recipients beside the same box with none.

    .venv/bin/python bench/queue_depth.py --json depth.json --markdown depth.md --plot depth.svg
    .venv/bin/python bench/queue_depth.py --depths 10000,100000 --rounds 1 --only depths
    .venv/bin/python bench/queue_depth.py --depths 1000000 --rounds 1        half an hour of patience

A real box, with a hundred tenants whose mail waits over depth/10 domains, receivers and clients in
processes of their own. Each depth is looked at once a round, the empty queue too, in turns; ratios are of
the same round (`depth/trial.py` says what is measured). Then one tenant's flood beside another's receipt,
and a dead destination beside all others (`depth/scenarios.py`).

    waiting    due in half a day                  blocked    due now, every tenant paused

The spools are filled once, below a temporary directory that goes at the end; nothing is left running.
A million recipients take 3 GB there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from depth import fill, home, plot, report, scenarios
from depth.box import RunningBox
from depth.child import Child
from depth.home import FLOOD, WAITERS
from depth.trial import World, trial
from relay import zone
from relay.base import BenchError, free_port
from relay.disk import probe

from appliance.core import clock
from appliance.core.home import Home
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable

STATES: Final = ("waiting", "blocked")
PARTS: Final = ("depths", "flood", "dead")
HALF_A_DAY: Final = 12 * 3600 * clock.SECOND
_HERE: Final = Path(__file__).parent


def main() -> int:
    """Measure what the options say; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    work = Path(tempfile.mkdtemp(prefix="queue-depth-", dir=options.work))
    try:
        with contextlib.ExitStack() as running:
            return Job(options, work, running).run()
    except BenchError as error:
        print(f"queue_depth: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depths", default="10000,100000,1000000", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--states", default=",".join(STATES), help="comma-separated")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--messages", type=int, default=3000, help="of a burst")
    parser.add_argument("--dead", type=int, default=100_000, help="for the dead destination")
    parser.add_argument(
        "--owned", action="store_true", help="a domain belongs to one tenant: a tenth of the keys"
    )
    parser.add_argument("--work", default="/var/tmp", help="where to work: a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the homes there")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    options = parser.parse_args()
    options.depths = sorted({int(word) for word in options.depths.split(",")} - {0})
    for name, known in (("states", STATES), ("only", PARTS)):
        setattr(options, name, getattr(options, name).split(","))
        if unknown := [word for word in getattr(options, name) if word not in known]:
            parser.error(f"--{name} {unknown[0]}: there are {', '.join(known)}")
    return options


class Job:
    """All measurements of one call."""

    def __init__(
        self, options: argparse.Namespace, work: Path, running: contextlib.ExitStack
    ) -> None:
        self._options, self._work = options, work
        self._result: dict[str, Any] = {
            "when": time.strftime("%FT%TZ", time.gmtime()),
            "machine": machine(),
            "disk_us": probe(work),
            "rounds": options.rounds,
            "errors": [],
        }
        self._tables: list[str] = []
        ports = home.Ports(dns=free_port(), sink=free_port())
        note("making the home: a hundred tenants with their keys")
        self._made = asyncio.run(home.make(work / "template", ports))
        server = zone.start(self._made.zone, ports.dns)
        running.callback(_close, server)
        sink = Child(_HERE / "depth" / "sink.py", str(ports.sink), str(scenarios.DELAY))
        running.callback(sink.close)
        load = Child(_HERE / "depth" / "load.py")
        running.callback(load.close)
        self._world = World(sink=sink, load=load, tenants=self._made.tenants)

    def run(self) -> int:
        """Everything that was asked for."""
        with RunningBox(self._made.home) as box:  # what is done once in a box's life is done now
            note(f"first start: healthy after {box.healthy_after():.1f} s")
            box.settle()
        for part in self._options.only:
            {"depths": self._depths, "flood": self._flood, "dead": self._dead}[part]()
        self._write()
        return 1 if self._result["errors"] else 0

    # -- depths ------------------------------------------------------------

    def _depths(self) -> None:
        homes = {depth: self._filled(depth) for depth in (0, *self._options.depths)}
        cells = []
        for state in self._options.states:
            if state == "blocked":
                self._block(homes)
            rounds = self._rounds(state, homes)
            for depth, found in rounds.items():
                cells.append(
                    {
                        "state": state,
                        "depth": depth,
                        "medians": report.medians(found),
                        "ratios": report.ratios(found, rounds[0]) if depth else {},
                        "rounds": found,
                    }
                )
        self._result["depths"] = cells
        self._tables.append(report.depths_table(cells))
        for where in homes.values():
            shutil.rmtree(where.path, ignore_errors=True)

    def _rounds(self, state: str, homes: dict[int, Home]) -> dict[int, list[report.Figures]]:
        """The depths take turns; each round begins with another one."""
        found: dict[int, list[report.Figures]] = {depth: [] for depth in homes}
        for number in range(self._options.rounds):
            order = list(homes)
            first = number % len(order)
            for depth in (*order[first:], *order[:first]):
                words = f"{state}, {depth:,}, round {number + 1}"
                found[depth].append(self._look(words, partial(self._trial, homes[depth])))
        return found

    def _trial(self, where: Home, found: report.Figures) -> None:
        with RunningBox(where) as box:
            try:
                trial(box, self._world, self._options.messages, found)
            finally:
                for words in box.complaints():
                    note(f"  log: {words}")

    def _filled(self, depth: int) -> Home:
        domains = max(1, depth // 10)
        make = fill.owned if self._options.owned else fill.spread
        return self._home(
            f"depth-{depth}",
            fill.Waiting(
                label="waiting",
                count=depth,
                domain_of=make(domains),
                tenants={name: self._made.tenants[name] for name in WAITERS},
                due_at=clock.now_ms() + HALF_A_DAY,
            ),
        )

    def _block(self, homes: dict[int, Home]) -> None:
        """Everything is due and no tenant whose mail waits may send."""
        paused = [self._made.tenants[name] for name in WAITERS]
        for depth, where in homes.items():
            note(f"blocked, {depth:,}: everything becomes due, a hundred tenants are paused")
            home.pause_tenants(where, paused)
            fill.set_due(where, clock.now_ms())

    # -- scenarios -----------------------------------------------------------

    def _flood(self) -> None:
        depth = max(self._options.depths)
        where = self._home(
            f"flood-{depth}",
            fill.Waiting(
                label="flood",
                count=depth,
                domain_of=fill.to_slow(101, max(1, depth // 10)),
                tenants={FLOOD: self._made.tenants[FLOOD]},
                due_at=clock.now_ms() + HALF_A_DAY,
            ),
        )
        rounds: dict[str, list[report.Figures]] = {"not due": [], f"{depth:,} due": []}
        for number in range(self._options.rounds):
            for name, found in rounds.items():
                fill.set_due(where, clock.now_ms() + (HALF_A_DAY if name == "not due" else 0))
                words = f"flood {name}, round {number + 1}"
                found.append(self._look(words, partial(scenarios.flood, where, self._world)))
        self._told("flood", "flood", rounds)
        shutil.rmtree(where.path, ignore_errors=True)

    def _dead(self) -> None:
        count = self._options.dead
        where = self._home(
            f"dead-{count}",
            fill.Waiting(
                label="dead",
                count=count,
                domain_of=fill.to_dead(10),
                tenants={name: self._made.tenants[name] for name in WAITERS},
                due_at=clock.now_ms() + HALF_A_DAY,
                traffic_class=TrafficClass.TRANSACTIONAL,
            ),
        )
        rounds: dict[str, list[report.Figures]] = {"not due": [], "refuses": [], "is mute": []}
        for number in range(self._options.rounds):
            for name, found in rounds.items():
                fill.set_due(where, clock.now_ms() + (HALF_A_DAY if name == "not due" else 0))
                self._world.sink.ask("mute", on=name == "is mute")
                words = f"dead destination {name}, round {number + 1}"
                messages = self._options.messages
                look = partial(scenarios.dead, where, self._world, messages)
                found.append(self._look(words, look))
                found[-1]["left"] = float(fill.waiting_count(where))
        self._world.sink.ask("mute", on=False)
        self._told("dead", "destination", rounds)
        shutil.rmtree(where.path, ignore_errors=True)

    def _told(self, part: str, first: str, rounds: dict[str, list[report.Figures]]) -> None:
        rows = {name: report.medians(found) for name, found in rounds.items()}
        self._result[part] = {"medians": rows, "rounds": rounds}
        self._tables.append(report.plain_table(first, rows))

    # -- what all need -------------------------------------------------------

    def _home(self, name: str, waiting: fill.Waiting) -> Home:
        where = Home(self._work / name)
        shutil.copytree(self._made.home.path, where.path, ignore=shutil.ignore_patterns("*.sock"))
        took = asyncio.run(fill.fill(where, waiting))
        size = where.spool_db(0).stat().st_size >> 20
        note(f"{name}: filled in {took:.0f} s, {size} MB")
        return where

    def _look(self, words: str, look: Callable[[report.Figures], None]) -> report.Figures:
        """What was found; after an error, what was found before it."""
        started, found = time.monotonic(), report.Figures()
        try:
            look(found)
        except BenchError as error:
            self._result["errors"].append(f"{words}: {error}")
            note(f"{words}: FAILED: {error}")
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        note(f"{words} ({time.monotonic() - started:.0f} s): {figures}")
        return found

    def _write(self) -> None:
        text = "\n\n".join(self._tables) + "\n"
        print(text)
        for words in self._result["errors"]:
            print(words)
        options, cells = self._options, self._result.get("depths", [])
        if options.json:
            options.json.write_text(json.dumps(self._result, indent=1) + "\n")
        if options.markdown:
            options.markdown.write_text(text)
        if options.plot and cells:
            options.plot.write_text(plot.svg(cells, "Waiting recipients and what they cost"))


def note(words: str) -> None:
    """A line of progress."""
    print(time.strftime("%T"), words, file=sys.stderr, flush=True)


def _close(server: Any) -> None:
    server.stdin.close()
    server.wait()


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pillarbox": metadata.version("pillarbox"),
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
