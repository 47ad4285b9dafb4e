"""Flushes: how often a relay asks the disk to flush, counted on a run of its own.

It counts calls of fsync and fdatasync in all processes of the relay; what the file system adds to them
is not seen. perf counts in passing. Without it strace does, which stops a process at each of its calls:
rates mean nothing then, and what shares a flush because it comes at the same time does so less or more.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from relay.base import BenchError
from relay.load import measure
from relay.processes import CpuByName, tree

if TYPE_CHECKING:
    from pathlib import Path

    from relay.base import Relay
    from relay.clients import Load

_COMMANDS: Final = {
    "perf": "perf stat -x ; -e syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync -o {out} -p {pids}",
    "strace": "strace -f -c -e trace=fsync,fdatasync -o {out} -p {pids}",
}
_ROWS: Final = {
    "perf": re.compile(r"^(\d+);[^;]*;syscalls:sys_enter_(?:fsync|fdatasync)\b", re.M),
    "strace": re.compile(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:fsync|fdatasync)$", re.M
    ),
}
_ATTACH_SECONDS: Final = 2.0


def count(relay: Relay, load: Load, work: Path) -> float | None:
    """Flushes a message; None where neither perf nor strace may look. Raises BenchError."""
    for tool in _COMMANDS:
        calls = _calls(tool, relay, load, work) if shutil.which(tool) else None
        if calls is not None:
            return calls / load.messages
    return None


def _calls(tool: str, relay: Relay, load: Load, work: Path) -> int | None:
    out = work / f"{tool}-{relay.name}"
    pids = ",".join(str(process.pid) for process in tree(relay.roots()))
    command = [word.format(out=out, pids=pids) for word in _COMMANDS[tool].split()]
    watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(_ATTACH_SECONDS)
        if watcher.poll() is not None:
            return None
        run = measure(relay, load, limit=120, idle=0.0)
    finally:
        if watcher.poll() is None:
            watcher.send_signal(signal.SIGINT)
        watcher.wait(30)
    if run.error:
        raise BenchError(f"{relay.name} under {tool}: {run.error}")
    return sum(int(calls) for calls in _ROWS[tool].findall(out.read_text()))


def cpu_split(relay: Relay, load: Load) -> dict[str, float]:
    """CPU ms a message by name of program, on a run of its own because looking costs."""
    with CpuByName(relay.roots()) as cpu:
        run = measure(relay, replace(load, kept=False), limit=120, idle=0.0)
    if run.error:
        raise BenchError(f"{relay.name}: {run.error}")
    return {name: seconds * 1000 / load.messages for name, seconds in cpu.seconds().items()}
