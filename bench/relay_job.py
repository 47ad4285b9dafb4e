"""The relay job: client -> relay -> smtp-sink, ours beside Postfix + OpenDKIM, in one run.

    sudo .venv/bin/python bench/relay_job.py                                  all, about 40 minutes
    sudo .venv/bin/python bench/relay_job.py --scenarios domains,tls --reps 1
    sudo .venv/bin/python bench/relay_job.py --sizes 4096 --sessions 20 --modes one --reps 1
    .venv/bin/python bench/relay_job.py --only pillarbox --json out.json --plot out.svg

    plain     4 KB and 100 KB, 1, 20 and 100 sessions, a connection each or kept; smtp-source
    domains   4 KB, 20 sessions: each of 10,000 messages to another domain, all of them with MX hosts of
              their own; first with names that nobody has looked up (each question then takes --dns-delay at
              the relay's resolver, which stands for the way to the world), then with the same names again
    tls       4 KB, 20 sessions, a connection each with STARTTLS and AUTH PLAIN: first with a full
              handshake each, then with TLS sessions resumed

The relays take turns within each repetition, in rotating order; figures are medians of --reps, and
what counts is the ratio to Postfix + OpenDKIM, since load, sink and relay share the machine's cores.
Ours runs as in production and signs each message twice (RSA-2048 and Ed25519), the peer once (RSA-2048).
The peers need root and Debian's packages, which are installed if missing; else ours is measured alone.
smtp-source and smtp-sink are Postfix's; where smtp-source has no way to, relay/generator.py is the client of
all relays. Everything is written below a temporary directory, which goes at
the end; nothing is left running.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay import flushes, latency, peers, plot, report, tables
from relay.base import BenchError, program, tail
from relay.clients import Kind, Load
from relay.disk import probe
from relay.load import idle_share, measure
from relay.ours import Pillarbox
from relay.peers import Postfix
from relay.speed import slow_python, speed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.base import Relay

NAMES = ("pillarbox", "postfix+opendkim", "postfix")
SCENARIOS = {
    "plain": (Kind.PLAIN,),
    "domains": (Kind.COLD, Kind.WARM),
    "tls": (Kind.TLS, Kind.RESUMED),
}
_SIGNATURES = {
    "pillarbox": ("pass rsa-sha256", "pass ed25519-sha256"),
    report.PEER: ("pass rsa-sha256",),
}
_RUN_SECONDS = 120.0
_MESSAGES = 3000
_MESSAGES_ALONE = 1000  # one session
_MESSAGES_OF = {Kind.COLD: 10_000, Kind.WARM: 10_000, Kind.TLS: 2000, Kind.RESUMED: 2000}
_LARGE = 50_000
_FLUSH_MESSAGES = 400


def main() -> int:
    """Measure what the options say; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    work = Path(tempfile.mkdtemp(prefix="relay-job-", dir=options.work))
    work.chmod(0o755)  # the user postfix has to get through
    try:
        return Job(options, work).run()
    except BenchError as error:
        print(f"relay_job: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="comma-separated")
    parser.add_argument("--sizes", default="4096,102400", help="octets, comma-separated (plain)")
    parser.add_argument("--sessions", default="1,20,100", help="connections at once (plain)")
    parser.add_argument(
        "--modes", default="one,many", help="one: a connection each; many: kept (plain)"
    )
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of messages")
    parser.add_argument("--only", default=",".join(NAMES), help="relays, comma-separated")
    parser.add_argument("--processes", type=int, default=0, help="spool.processes of ours")
    parser.add_argument("--latency", type=int, default=200, help="single messages; 0 = none")
    parser.add_argument("--dns-delay", type=float, default=20.0, help="ms, of a first question")
    parser.add_argument("--no-flushes", action="store_true", help="no runs that count flushes")
    parser.add_argument("--work", default="/var/tmp", help="where to work: a real disk")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="write tables there")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    options = parser.parse_args()
    for name, kind in (("sizes", int), ("sessions", int)):
        setattr(options, name, [kind(word) for word in getattr(options, name).split(",")])
    for name, known in (("only", NAMES), ("modes", ("one", "many")), ("scenarios", SCENARIOS)):
        setattr(options, name, getattr(options, name).split(","))
        if unknown := [word for word in getattr(options, name) if word not in known]:
            parser.error(f"--{name} {unknown[0]}: there are {', '.join(known)}")
    return options


def loads(options: argparse.Namespace) -> list[Load]:
    """Every load of the scenarios, with as many messages as take some seconds."""
    plain = [
        Load(
            size=size,
            sessions=sessions,
            kept=mode == "many",
            messages=_messages(size, sessions, options.scale),
        )
        for size in options.sizes
        for sessions in options.sessions
        for mode in options.modes
    ]
    others = [
        Load(
            size=4096,
            sessions=20,
            kept=False,
            messages=max(20, int(_MESSAGES_OF[kind] * options.scale)),
            kind=kind,
        )
        for name in options.scenarios
        for kind in SCENARIOS[name]
        if kind is not Kind.PLAIN
    ]
    return (plain if "plain" in options.scenarios else []) + others


def _messages(size: int, sessions: int, scale: float) -> int:
    base = _MESSAGES if sessions > 1 else _MESSAGES_ALONE
    return max(sessions, int(base * scale * (0.4 if size > _LARGE else 1)))


class Job:
    """All measurements of one call."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self._options, self._work = options, work
        self._notes: list[str] = []
        self._idle: dict[str, float] = {}
        self._result: dict[str, Any] = {"when": time.strftime("%FT%TZ", time.gmtime())}

    def run(self) -> int:
        """Start everything, measure, stop everything, tell."""
        chosen = self._relays()
        self._result["machine"] = machine()
        self._result["disk_us"] = probe(self._work)
        self._result["speed_us"] = speed()
        if words := slow_python():
            self._note(words)
        with contextlib.ExitStack() as running:
            for relay in chosen:
                running.callback(relay.stop)
                self._start(relay)
            cells = self._measure(chosen)
            for relay in chosen:
                for words in relay.complaints() if isinstance(relay, Pillarbox) else ():
                    self._note(f"log of {relay.name}: {words}")
        wrong = self._unsigned()
        self._write(cells)
        print(*(f"FAILED {words}" for words in wrong), sep="\n")
        return 1 if wrong or any(one.errors for one in cells) else 0

    def _relays(self) -> list[Relay]:
        wanted = list(self._options.only)
        if any(name.startswith("postfix") for name in wanted) and (why := self._no_peers()):
            self._note(f"ours is measured alone: {why}")
            wanted = ["pillarbox"]
        for name in ("smtp-source", "smtp-sink"):
            try:
                program(name)
            except BenchError as error:
                words = f"{error}: nothing can be measured without Debian's package postfix"
                raise BenchError(words) from error
        delay = self._options.dns_delay / 1000
        made: list[Relay] = []
        for name in wanted:
            if name == "pillarbox":
                processes = self._options.processes
                made.append(Pillarbox(self._work, processes=processes, dns_delay=delay))
            else:
                made.append(Postfix(self._work, signs=name == report.PEER, dns_delay=delay))
        if "tls" in self._options.scenarios and len(made) > 1 and not peers.has_login():
            self._note("the peers ask for no AUTH after STARTTLS: Debian's sasl2-bin is missing")
        return made

    def _no_peers(self) -> str:
        why = peers.missing()
        lacks = why or ("" if peers.has_login() else "saslpasswd2 is not installed")
        if lacks and os.geteuid() == 0:
            self._note(f"{lacks}: installing {', '.join(peers.PACKAGES)}")
            try:
                peers.install()
            except BenchError as error:
                self._note(str(error))
            why = peers.missing()
        return why

    def _start(self, relay: Relay) -> None:
        try:
            relay.start()
            warm = measure(relay, _warm_up(), limit=_RUN_SECONDS, idle=0.0)
        except BenchError as error:
            raise BenchError(f"{relay.name}: {error}") from error
        if warm.error:
            raise BenchError(f"{relay.name}: {warm.error}\n{tail(self._work / 'pillarbox.log')}")
        self._idle[relay.name] = idle_share(relay)
        self._note(f"{relay.name} runs; idle it takes {self._idle[relay.name]:.1%} of a core")

    def _measure(self, chosen: Sequence[Relay]) -> list[report.Cell]:
        found = []
        for load in loads(self._options):
            found += self._turns(chosen, load)
            print(tables.table(tables.rows(found[-len(chosen) :])), flush=True)
        self._result["latency"] = [
            one for size in self._options.sizes for one in self._latencies(chosen, size)
        ]
        if not self._options.no_flushes:
            self._result["flushes"] = [
                self._flushes(relay, one) for one in _seen() for relay in chosen
            ]
            self._result["cpu_by_program_ms"] = {
                relay.name: flushes.cpu_split(relay, _split()) for relay in chosen
            }
        return found

    def _turns(self, chosen: Sequence[Relay], load: Load) -> list[report.Cell]:
        """The relays take turns; each repetition begins with another one."""
        runs: dict[str, list[Any]] = {relay.name: [] for relay in chosen}
        for repetition in range(self._options.reps):
            first = repetition % len(chosen)
            for relay in (*chosen[first:], *chosen[:first]):
                idle = self._idle[relay.name]
                one = dataclasses.replace(load, names=self._names(load.kind, repetition))
                runs[relay.name].append(measure(relay, one, limit=_RUN_SECONDS, idle=idle))
        return report.compared([report.cell(name, load, made) for name, made in runs.items()])

    def _latencies(self, chosen: Sequence[Relay], size: int) -> list[latency.Latency]:
        """Single messages, in turns like everything else; medians of the turns."""
        if not self._options.latency:
            return []
        blocks: dict[str, list[latency.Latency]] = {relay.name: [] for relay in chosen}
        for repetition in range(self._options.reps):
            first = repetition % len(chosen)
            for relay in (*chosen[first:], *chosen[:first]):
                blocks[relay.name].append(latency.measure(relay, size, self._options.latency))
        return [latency.median(found) for found in blocks.values()]

    def _unsigned(self) -> list[str]:
        """Relays that did not sign as they should have; what is measured then is something else."""
        wrong = []
        for one in self._result["latency"]:
            wanted = _SIGNATURES.get(one.relay, ())
            if tuple(" ".join(words.split()[:2]) for words in one.signatures) != wanted:
                wrong.append(f"{one.relay} signed {one.signatures}, not as {wanted}")
        return wrong

    def _names(self, kind: Kind, repetition: int) -> str:
        """Other names for each cold run; the warm ones write to those of the last."""
        if kind is Kind.WARM:
            repetition = self._options.reps - 1
        return f"r{repetition}" if kind in SCENARIOS["domains"] else ""

    def _flushes(self, relay: Relay, load: Load) -> dict[str, Any]:
        found = flushes.count(relay, load, self._work)
        if found is None:
            self._note("flushes are not counted: perf and strace are missing or may not look")
        return {"relay": relay.name, "sessions": load.sessions, "per_message": found}

    def _note(self, words: str) -> None:
        if words not in self._notes:
            self._notes.append(words)
            print(words, file=sys.stderr, flush=True)

    def _write(self, cells: Sequence[report.Cell]) -> None:
        found = {
            "what it costs": tables.rows(cells),
            "one message at a time": tables.latency_rows(self._result["latency"]),
            "flushes": tables.flush_rows(self._result.get("flushes", ())),
            "CPU": tables.cpu_rows(self._result.get("cpu_by_program_ms", {})),
        }
        print(*("\n" + tables.table(lines) for lines in found.values()), sep="\n")
        for probed in ("disk_us", "speed_us"):
            print(f"{probed}: {json.dumps(self._result[probed])}")
        for one in cells:
            for error in one.errors:
                print(f"FAILED {one.relay} {one.load}: {error}")
        self._result["cells"] = [report.plain(one) for one in cells]
        self._result["latency"] = [dataclasses.asdict(one) for one in self._result["latency"]]
        self._result |= {"idle_share": self._idle, "notes": self._notes}
        if self._options.json:
            self._options.json.write_text(json.dumps(self._result, indent=1) + "\n")
        if self._options.markdown:
            found["what it costs"] = tables.compared_rows(cells)
            parts = [tables.markdown(lines) for lines in found.values()]
            self._options.markdown.write_text("\n\n".join([*parts, *self._notes]) + "\n")
        if self._options.plot:
            title = "Relay job: messages a second, end to end"
            self._options.plot.write_text(plot.svg(cells, title))


def _warm_up() -> Load:
    return Load(size=4096, sessions=20, kept=False, messages=300)


def _split() -> Load:
    return Load(size=4096, sessions=20, kept=False, messages=1500)


def _seen() -> list[Load]:
    """What is counted for flushes: alone, where nothing can share a flush, and with twenty sessions."""
    return [
        Load(size=4096, sessions=sessions, kept=False, messages=_FLUSH_MESSAGES)
        for sessions in (1, 20)
    ]


def machine() -> dict[str, Any]:
    """Where it was measured."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pillarbox": metadata.version("pillarbox"),
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
