"""Load: one run of a client through a relay into smtp-sink, with what it cost.

    accepted/s   messages / (start of the client .. its end: every message has its 250)
    delivered/s  messages / (start of the client .. smtp-sink has read them all)
    CPU          of the relay's process trees, until it is quiet again: work that it puts off (purging
                 what is done, writing history) is counted, what it takes when idle is not

The sink's running count is polled; more than was sent is an error, as are restarts of the relay's
processes. Every run ends within `limit` seconds and the time the relay needs to be quiet.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.base import program, wait_for_port
from relay.clients import Kind, begin, generator
from relay.processes import TICKS, cpu_seconds, machine, memory_mb, stat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.base import Relay
    from relay.clients import Client, Load
    from relay.processes import Machine

_COUNT: Final = re.compile(rb"mesg=\s*(\d+)")
_POLL: Final = 0.004
_RESUMED: Final = 90.0  # percent of those that could
_QUIET_WINDOW: Final = 0.5
_QUIET_SHARE: Final = 0.06  # of one core
_QUIET_LIMIT: Final = 25.0


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run showed."""

    accepted_per_s: float = 0.0
    delivered_per_s: float = 0.0
    cpu_ms: float = 0.0  # a message
    parts_ms: dict[str, float] = field(default_factory=dict)
    generator_ms: float = 0.0  # smtp-source + smtp-sink, which share the cores
    pss_mb: float = 0.0
    processes: int = 0
    switches: float = 0.0  # context switches a message, of the whole machine
    busy_percent: float = 0.0  # of all cores while the run lasted
    others_percent: float = 0.0  # of all cores, by programs that have nothing to do with the run
    steal_percent: float = 0.0
    resumed_percent: float = 0.0  # of the connections: went on with an earlier TLS session
    error: str = ""


class Sink:
    """A running smtp-sink."""

    def __init__(self, process: subprocess.Popen[bytes], counter: Path) -> None:
        self.pid, self._counter = process.pid, counter

    def count(self) -> int:
        """Messages that it has read."""
        with self._counter.open("rb") as file:
            file.seek(max(0, self._counter.stat().st_size - 200))
            found = _COUNT.findall(file.read())
        return int(found[-1]) if found else 0


@contextmanager
def sink(port: int) -> Iterator[Sink]:
    """smtp-sink while the block lasts; its counter is a file in memory."""
    counter = Path(f"/dev/shm/relay-job-{os.getpid()}-{port}")
    command = [program("smtp-sink"), "-c", "-m", "15000"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    command += [f"127.0.0.1:{port}", "1024"]
    with counter.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for_port(port, process, counter)
        yield Sink(process, counter)
    finally:
        process.terminate()
        process.wait()
        counter.unlink()


def measure(relay: Relay, load: Load, *, limit: float, idle: float) -> Run:
    """One run. `idle` is the share of a core that the relay takes when it has nothing to do."""
    run = Run()
    with sink(relay.sink_port) as taken:
        parts = relay.parts()
        ready = None if load.kind is Kind.PLAIN else generator(relay, load)
        before, total = _cpu(parts), cpu_seconds(relay.roots())
        machine_before = machine()
        started = time.monotonic()
        client = begin(relay, load, ready)
        client_cpu = _watch(client, taken, load, run, started + limit, started)
        own = cpu_seconds(relay.roots()) - total + client_cpu + _own_cpu(taken.pid)
        _machine_of(run, machine_before, machine(), own, load)
        run.pss_mb, run.processes = memory_mb(relay.roots())
        resting = quiet(relay) * idle
        after, total_after = _cpu(parts), cpu_seconds(relay.roots())
        client_cpu += _own_cpu(taken.pid)
        if not run.error and taken.count() != load.messages:
            run.error = f"{taken.count()} messages came out of {load.messages}"
    could = 1 - load.sessions / load.messages  # the first of each client cannot
    if load.kind is Kind.RESUMED and run.resumed_percent < _RESUMED * could and not run.error:
        run.error = f"only {run.resumed_percent:.0f} % of the connections resumed a TLS session"
    if relay.parts() != parts:
        run.error = f"a process ended and was started again: {parts} -> {relay.parts()}"
    per_ms = 1000 / load.messages
    run.cpu_ms = max(0.0, total_after - total - resting) * per_ms
    run.parts_ms = {name: (after[name] - before[name]) * per_ms for name in parts}
    run.generator_ms = client_cpu * per_ms
    return run


def _watch(client: Client, taken: Sink, load: Load, run: Run, end: float, started: float) -> float:
    """Wait for the client and the sink, note their rates; returns the client's CPU seconds."""
    accepted = delivered = client_cpu = 0.0
    while not (accepted and delivered) and time.monotonic() < end and not run.error:
        time.sleep(_POLL)
        if not accepted:
            pid, status, usage = os.wait4(client.pid, os.WNOHANG)
            if pid:
                accepted = time.monotonic()
                client_cpu = usage.ru_utime + usage.ru_stime
                client.returncode = os.waitstatus_to_exitcode(status)
                run.error = _complaint(client)
        if not delivered and taken.count() >= load.messages:
            delivered = time.monotonic()
    if not accepted:
        client.kill()
        client.wait()
        run.error = run.error or "the client did not finish in time"
    elif delivered:
        run.accepted_per_s = load.messages / (accepted - started)
        run.delivered_per_s = load.messages / (delivered - started)
    else:
        run.error = run.error or f"only {taken.count()} of {load.messages} came out in time"
    _hear_out(client, run)
    return client_cpu


def _hear_out(client: Client, run: Run) -> None:
    """What a generator tells at its end."""
    assert client.stderr is not None
    client.stderr.close()
    if client.stdout is not None:
        said = client.stdout.read()
        client.stdout.close()
        if said:
            told = json.loads(said)
            run.resumed_percent = 100 * told["resumed"] / told["connections"]


def _complaint(client: Client) -> str:
    assert client.stderr is not None
    if client.returncode == 0:
        return ""
    words = client.stderr.read(400).decode("utf-8", "replace").strip()
    return f"the client ended with {client.returncode}: {words}"


def _cpu(parts: dict[str, int]) -> dict[str, float]:
    return {name: cpu_seconds([pid]) for name, pid in parts.items()}


def _own_cpu(pid: int) -> float:
    process = stat(pid)
    return process.own / TICKS if process else 0.0


def _machine_of(run: Run, before: Machine, after: Machine, own: float, load: Load) -> None:
    ticks = max(1, after.ticks - before.ticks)
    run.busy_percent = 100 * (1 - (after.idle - before.idle) / ticks)
    run.others_percent = max(0.0, run.busy_percent - 100 * own * TICKS / ticks)
    run.steal_percent = 100 * (after.steal - before.steal) / ticks
    run.switches = (after.switches - before.switches) / load.messages


def quiet(relay: Relay) -> float:
    """Wait until the relay holds nothing and takes next to no CPU; returns the seconds it took."""
    started = time.monotonic()
    time.sleep(relay.aftercare)
    used = cpu_seconds(relay.roots())
    while time.monotonic() < started + relay.aftercare + _QUIET_LIMIT:
        time.sleep(_QUIET_WINDOW)
        last, used = used, cpu_seconds(relay.roots())
        if used - last <= _QUIET_SHARE * _QUIET_WINDOW and not relay.waiting():
            break
    return time.monotonic() - started


def idle_share(relay: Relay, seconds: float = 3.0) -> float:
    """The share of one core that the relay takes with nothing to do."""
    quiet(relay)
    used = cpu_seconds(relay.roots())
    time.sleep(seconds)
    return (cpu_seconds(relay.roots()) - used) / seconds
