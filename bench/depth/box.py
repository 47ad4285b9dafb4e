"""Box: one that runs on a home, from its start until it is stopped.

Started is when every process answers /health and the submission port greets. Memory is PSS over the
process tree, looked at every second from the start on. Stopped by SIGTERM; what does not end in time is
killed with all that it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.base import BenchError, tail
from relay.processes import cpu_seconds, memory_mb, tree

from appliance.core.errors import NotRunningError
from appliance.run.sockets import published

if TYPE_CHECKING:
    from appliance.core.home import Home

ROOT: Final = Path(__file__).parents[2]
START_LIMIT: Final = 180.0
STOP_LIMIT: Final = 90.0
_WINDOW: Final = 1.0
_IDLE_SHARE: Final = 0.1  # of one core
_KNOWN: Final = "the queue is known"


class RunningBox:
    """`pillarbox serve`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.log = home.path / "box.log"
        self.log.unlink(missing_ok=True)
        (home.run_dir / "listeners.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "appliance.run.cli", "--home", str(home.path), "serve"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PILLARBOX_")}
        self.started = time.monotonic()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=out, env=environment
            )
        self.places: dict[str, tuple[str, int]] = {}
        self.memories: list[tuple[float, float]] = []  # s since the start, MB
        self._ends = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def __enter__(self) -> RunningBox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def healthy_after(self) -> float:
        """Wait until it serves; the seconds since it was started."""
        end = self.started + START_LIMIT
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise BenchError(f"the box ended:\n{tail(self.log)}")
            if self._serves():
                return time.monotonic() - self.started
            time.sleep(0.05)
        raise BenchError(f"the box is not healthy after {START_LIMIT} s:\n{tail(self.log)}")

    def known_after(self) -> float:
        """Wait until it knows all that waits; the seconds since it was started."""
        end = self.started + START_LIMIT
        while time.monotonic() < end:
            if any(_KNOWN in entry.get("text", "") for entry in self._entries()):
                return time.monotonic() - self.started
            time.sleep(0.1)
        raise BenchError(f"the queue is not known after {START_LIMIT} s:\n{tail(self.log)}")

    def settle(self, limit: float = 60.0) -> float:
        """Wait until it takes next to no CPU; the seconds it took."""
        began, used = time.monotonic(), self.cpu()
        while time.monotonic() < began + limit:
            time.sleep(_WINDOW)
            last, used = used, self.cpu()
            if used - last <= _IDLE_SHARE * _WINDOW:
                break
        return time.monotonic() - began

    def cpu(self) -> float:
        """Seconds of CPU so far, of all processes."""
        return cpu_seconds([self._process.pid])

    def memory(self) -> float:
        """PSS of all processes, in MB."""
        return memory_mb([self._process.pid])[0]

    def memory_by_process(self) -> dict[str, float]:
        """PSS by name, in MB."""
        return {name: round(memory_mb([pid])[0], 1) for name, pid in self.pids().items()}

    def pids(self) -> dict[str, int]:
        """As the supervisor's log names them."""
        found: dict[str, int] = {}
        for entry in self._entries():
            words = entry.get("text", "").split()
            if words[1:4] == ["runs", "with", "pid"]:
                found[words[0]] = int(words[4])
        return found

    def complaints(self) -> list[str]:
        """What its log says in warnings and errors, each text once, with how often."""
        texts = Counter(
            f"{entry['level']} of {entry['process']}: {entry['text']}"
            for entry in self._entries()
            if entry.get("level") not in ("info", "debug", None)
        )
        return [f"{count} x {words}" for words, count in texts.most_common(10)]

    def stop(self) -> None:
        """Let it drain; kill what is left."""
        self._ends.set()
        self._sampler.join()
        family = tree([self._process.pid])
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                print("the box did not stop in time and is killed", file=sys.stderr)
        for process in tree([one.pid for one in family]):
            if (process.pid, process.started) in {(one.pid, one.started) for one in family}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self._process.wait()

    def _sample(self) -> None:
        while not self._ends.wait(_WINDOW):
            self.memories.append((round(time.monotonic() - self.started, 1), self.memory()))

    def _entries(self) -> list[dict[str, str]]:
        found = []
        for line in self.log.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # a line for people
                found.append(json.loads(line))
        return [entry for entry in found if isinstance(entry, dict)]

    def _serves(self) -> bool:
        try:
            self.places = {
                name: (place[0], place[1]) for name, place in published(self.home).items()
            }
            address, port = self.places["web"]
            with urllib.request.urlopen(f"http://{address}:{port}/health", timeout=5) as answer:
                healthy = answer.status == 200
            with socket.create_connection(self.places["submission"], 5) as session:
                return healthy and session.recv(3) == b"220"
        except (NotRunningError, KeyError, OSError, urllib.error.URLError):
            return False
