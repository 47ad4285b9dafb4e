"""Queue depth: a box with up to a million waiting recipients beside the same box with none.

    .venv/bin/python bench/queue_depth.py --json depth.json --markdown depth.md --plot depth.svg
    .venv/bin/python bench/queue_depth.py --depths 10000,100000 --turns 1 --only depths
    .venv/bin/python bench/queue_depth.py --depths 1000000                half an hour of patience

Real boxes, with a hundred tenants whose mail waits over depth/10 domains; receivers and clients in
processes of their own. At each depth two boxes run, the deep one and an empty one, and take turns: the
ratios are of neighbours in time (`depth/trial.py` says what is measured). Then everything is due and
goes; then one tenant's flood beside another's receipt, and a dead destination beside all others
(`depth/scenarios.py`).

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
from depth.sink import SLOW_SITES
from depth.trial import World, begun, stops, turns
from relay import zone
from relay.base import BenchError, free_port
from relay.disk import probe

from appliance.core import clock
from appliance.core.home import Home
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable

STATES: Final = ("waiting", "blocked")
PARTS: Final = ("depths", "drain", "flood", "dead")
THROTTLE: Final = "20/s"
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
    parser.add_argument("--turns", type=int, default=5, help="of two boxes beside each other")
    parser.add_argument("--rounds", type=int, default=3, help="of drain and flood")
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
            "turns": options.turns,
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
            {
                "depths": self._depths,
                "drain": self._drain,
                "flood": self._flood,
                "dead": self._dead,
            }[part]()
            self._write()
        print("\n\n".join(self._tables))
        for words in self._result["errors"]:
            print(words)
        return 1 if self._result["errors"] else 0

    # -- depths ------------------------------------------------------------

    def _depths(self) -> None:
        cells: list[dict[str, Any]] = []
        empty = self._home("empty", None)
        for depth in self._options.depths:
            deep = self._filled(depth)
            for state in self._options.states:
                if state == "blocked":
                    self._block(deep)
                cells.append(self._cell(state, depth, deep, empty))
            shutil.rmtree(deep.path, ignore_errors=True)
        self._result["depths"] = cells
        self._tables.append(report.depths_table(cells))

    def _cell(self, state: str, depth: int, deep: Home, empty: Home) -> dict[str, Any]:
        found: dict[str, Any] = {"state": state, "depth": depth, "deep": {}, "empty": {}}
        words = f"{state}, {depth:,}"
        found["turns"] = []
        with RunningBox(deep) as one:
            self._look(f"{words}: start", partial(begun, one, self._world), found["deep"])
            with RunningBox(empty) as other:
                self._look(f"{words}: empty", partial(begun, other, self._world), found["empty"])
                boxes = {"deep": one, "empty": other}
                self._look(f"{words}: turns", partial(self._turns, boxes, found["turns"]))
            self._look(f"{words}: stops", partial(stops, one, self._world), found["deep"])
            found["memory"] = {"deep": list(one.memories), "empty": list(other.memories)}
            found["deep"]["peak_mb"] = max(mb for _, mb in one.memories)
            for complaint in one.complaints():
                note(f"  log: {complaint}")
        found["medians"], found["ratios"] = report.compared(found["turns"])
        found["medians"] |= found["deep"]
        note(f"{words}: ratios {found['ratios']}, {found['medians']}")
        return found

    def _turns(self, boxes: dict[str, RunningBox], told: list[Any], _found: report.Figures) -> None:
        told += turns(boxes, self._world, self._options.messages, self._options.turns)

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

    def _block(self, where: Home) -> None:
        """Everything is due and no tenant whose mail waits may send."""
        home.pause_tenants(where, [self._made.tenants[name] for name in WAITERS])
        fill.set_due(where, clock.now_ms())

    # -- scenarios -----------------------------------------------------------

    def _drain(self) -> None:
        rounds: dict[str, list[report.Figures]] = {}
        for depth in self._options.depths:
            where, found = self._filled(depth), rounds.setdefault(f"{depth:,}", [])
            for number in range(self._options.rounds):
                fill.set_due(where, clock.now_ms())
                words = f"drain {depth:,}, round {number + 1}"
                look = partial(scenarios.drain, where, self._world, self._options.messages)
                found.append(self._look(words, look))
            shutil.rmtree(where.path, ignore_errors=True)
        self._told("drain", "due", rounds)

    def _flood(self) -> None:
        depth = max(self._options.depths)
        where = self._home(
            f"flood-{depth}",
            fill.Waiting(
                label="flood",
                count=depth,
                domain_of=fill.to_slow(SLOW_SITES, max(1, depth // 10)),
                tenants={FLOOD: self._made.tenants[FLOOD]},
                due_at=clock.now_ms() + HALF_A_DAY,
            ),
        )
        names = ("not due", f"{depth:,} due", f"{depth:,} due, {THROTTLE} an address")
        rounds: dict[str, list[report.Figures]] = {name: [] for name in names}
        for number in range(self._options.rounds):
            for name, found in rounds.items():
                fill.set_due(where, clock.now_ms() + (HALF_A_DAY if name == "not due" else 0))
                home.throttle(where, THROTTLE if THROTTLE in name else "none")
                words = f"flood {name}, round {number + 1}"
                found.append(self._look(words, partial(scenarios.flood, where, self._world)))
        self._told("flood", "flood", rounds)
        shutil.rmtree(where.path, ignore_errors=True)

    def _dead(self) -> None:
        count = self._options.dead
        where, other = (
            self._home(
                f"dead-{count}-{name}",
                fill.Waiting(
                    label="dead",
                    count=count,
                    domain_of=fill.to_dead(10),
                    tenants={name: self._made.tenants[name] for name in WAITERS},
                    due_at=due_at,
                    traffic_class=TrafficClass.TRANSACTIONAL,
                ),
            )
            for name, due_at in (("due", clock.now_ms()), ("later", clock.now_ms() + HALF_A_DAY))
        )
        cells = []
        for state in ("refuses", "is mute"):
            fill.set_due(where, clock.now_ms())
            self._world.sink.ask("mute", on=state == "is mute")
            cells.append(self._cell(f"dead destination {state}", count, where, other))
            cells[-1]["left"] = fill.waiting_count(where)
        self._world.sink.ask("mute", on=False)
        self._result["dead"] = cells
        self._tables.append(report.depths_table(cells))

    def _told(self, part: str, first: str, rounds: dict[str, list[report.Figures]]) -> None:
        rows = {name: report.medians(found) for name, found in rounds.items()}
        self._result[part] = {"medians": rows, "rounds": rounds}
        self._tables.append(report.plain_table(first, rows))

    # -- what all need -------------------------------------------------------

    def _home(self, name: str, waiting: fill.Waiting | None) -> Home:
        where = Home(self._work / name)
        shutil.copytree(self._made.home.path, where.path, ignore=shutil.ignore_patterns("*.sock"))
        if waiting is None:
            return where
        took = asyncio.run(fill.fill(where, waiting))
        size = where.spool_db(0).stat().st_size >> 20
        note(f"{name}: filled in {took:.0f} s, {size} MB")
        return where

    def _look(
        self,
        words: str,
        look: Callable[[report.Figures], None],
        found: report.Figures | None = None,
    ) -> report.Figures:
        """What was found; after an error, what was found before it."""
        started, found = time.monotonic(), report.Figures() if found is None else found
        try:
            look(found)
        except BenchError as error:
            self._result["errors"].append(f"{words}: {error}")
            note(f"{words}: FAILED: {error}")
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        note(f"{words} ({time.monotonic() - started:.0f} s): {figures}")
        return found

    def _write(self) -> None:
        """After each part, so that an end in the middle loses one part only."""
        text = "\n\n".join(self._tables) + "\n"
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
