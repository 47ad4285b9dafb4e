"""Processes: CPU time and memory of process trees, and what the whole machine did meanwhile.

Read from /proc, so Linux only. CPU of a tree counts children that have ended (Postfix's processes
come and go), to the clock tick of 10 ms. Memory is PSS: shared pages are shared out among those who
map them, so that forked processes are not counted several times. Who vanishes while it is looked at
counts as nothing.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS: Final = os.sysconf("SC_CLK_TCK")
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_SAMPLE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One process, as /proc/PID/stat has it."""

    pid: int
    parent: int
    name: str
    started: int
    own: int  # ticks, user + system
    reaped: int  # ticks of its children that have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Counters of the whole machine since it started."""

    ticks: int
    idle: int
    steal: int
    switches: int


def stat(pid: int) -> Stat | None:
    """The process, None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return Stat(
        pid=pid,
        parent=int(fields[1]),
        name=before.partition("(")[2].partition("/")[0],
        started=int(fields[19]),
        own=utime + stime,
        reaped=cutime + cstime,
    )


def tree(roots: Iterable[int]) -> list[Stat]:
    """The roots that live, and all their descendants."""
    every = [
        found
        for entry in os.scandir("/proc")
        if entry.name.isdigit() and (found := stat(int(entry.name)))
    ]
    children: dict[int, list[Stat]] = {}
    for process in every:
        children.setdefault(process.parent, []).append(process)
    wanted = set(roots)
    found = [process for process in every if process.pid in wanted]
    for process in found:  # grows while it is walked
        found += [child for child in children.get(process.pid, []) if child.pid not in wanted]
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of the trees, ended children included."""
    return sum(process.own + process.reaped for process in tree(roots)) / TICKS


def memory_mb(roots: Iterable[int]) -> tuple[float, int]:
    """PSS of the trees in MB, and how many processes they are."""
    total = count = 0
    for process in tree(roots):
        try:
            found = _PSS.search(Path(f"/proc/{process.pid}/smaps_rollup").read_text())
        except OSError:
            continue
        if found:
            total, count = total + int(found[1]), count + 1
    return total / 1024, count


def machine() -> Machine:
    """Where the machine's counters stand."""
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = [int(word) for word in lines[0].split()[1:9]]
    switches = next(int(line.split()[1]) for line in lines if line.startswith("ctxt"))
    return Machine(ticks=sum(ticks), idle=ticks[3] + ticks[4], steal=ticks[7], switches=switches)


class CpuByName:
    """CPU of trees by the name of the program, sampled, so that short-lived processes count too.

    Looking takes CPU of its own: not for runs whose rate is compared.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._first: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int], Stat] = {}

    def __enter__(self) -> CpuByName:
        self._first = {(it.pid, it.started): it.own for it in tree(self._roots)}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def seconds(self) -> dict[str, float]:
        """Seconds by name, the most first."""
        found: dict[str, int] = {}
        for key, process in self._last.items():
            used = process.own - self._first.get(key, 0)
            found[process.name] = found.get(process.name, 0) + used
        ranked = sorted(found.items(), key=lambda item: -item[1])
        return {name: ticks / TICKS for name, ticks in ranked if ticks}

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        for process in tree(self._roots):
            self._last[process.pid, process.started] = process
