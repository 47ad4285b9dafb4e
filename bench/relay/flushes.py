"""Flushes: how often a relay asks the disk to flush, counted by strace on a run of its own.

strace slows down what it watches, so that batches grow and rates mean nothing: only the count is used.
It counts calls of fsync and fdatasync in all processes of the relay; what the file system adds to them
is not seen.
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

_ROW: Final = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(fsync|fdatasync)$", re.M)
_ATTACH_SECONDS: Final = 2.0


def count(relay: Relay, load: Load, work: Path) -> float | None:
    """Flushes a message; None where strace is missing or may not attach. Raises BenchError."""
    if shutil.which("strace") is None:
        return None
    out = work / f"strace-{relay.name}"
    command = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", out]
    for process in tree(relay.roots()):
        command += ["-p", str(process.pid)]
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
        raise BenchError(f"{relay.name} under strace: {run.error}")
    return sum(int(calls) for calls, _ in _ROW.findall(out.read_text())) / load.messages


def cpu_split(relay: Relay, load: Load) -> dict[str, float]:
    """CPU ms a message by name of program, on a run of its own because looking costs."""
    with CpuByName(relay.roots()) as cpu:
        run = measure(relay, replace(load, kept=False), limit=120, idle=0.0)
    if run.error:
        raise BenchError(f"{relay.name}: {run.error}")
    return {name: seconds * 1000 / load.messages for name, seconds in cpu.seconds().items()}
