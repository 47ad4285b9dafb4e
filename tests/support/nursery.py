"""Nursery: a process that has imported the product and forks a box for each request; two seconds less each.

What runs is `pillarbox` from its first line on, with the arguments, the environment and the output that were
asked for. Requests are lines of JSON on stdin, each answered by a line with the pid; how a box ended is
written to a file by that name in the folder that was given. When stdin ends, so do the boxes that still run.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOOK = 0.02  # seconds between two looks at who has ended
IMPORTED = [
    f"appliance.run.{name}" for name in ("cli.serve", "certificates", "plans", "supervisor", "web")
]


class Nursling:
    """A box that was forked: as much of an asyncio process as tests ask for."""

    def __init__(self, pid: int, ends: Path) -> None:
        self.pid = pid
        self._end = ends / str(pid)

    @property
    def returncode(self) -> int | None:
        return int(self._end.read_text()) if self._end.exists() else None

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def wait(self) -> int:
        while (code := self.returncode) is None:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK)
        return code


def start(line: list[str], log: Path) -> Nursling:
    """Run the command line; it writes to the log."""
    nursery, ends = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    wanted = {"line": line, "log": str(log), "environment": dict(os.environ)}
    nursery.stdin.write(json.dumps(wanted) + "\n")
    nursery.stdin.flush()
    return Nursling(int(nursery.stdout.readline()), ends)


@functools.cache
def _nursery() -> tuple[subprocess.Popen[str], Path]:
    """One for all boxes of this process."""
    folder = tempfile.mkdtemp(prefix="pillarbox-nursery-")
    atexit.register(shutil.rmtree, folder)
    command = [sys.executable, "-m", "tests.support.nursery", folder]
    started = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(started.communicate)
    return started, Path(folder)


def serve(ends: Path) -> None:
    """Fork what is asked for until nobody asks any more."""
    running: set[int] = set()
    while True:
        if select.select([0], [], [], LOOK)[0]:
            asked = _asked()
            if asked is None:
                break
            pid = os.fork()
            if not pid:
                _become(asked)
            (ends / str(pid)).unlink(missing_ok=True)  # of another who had that pid
            running.add(pid)
            os.write(1, b"%d\n" % pid)
        _reap(running, ends)
    for pid in running:
        os.kill(pid, signal.SIGTERM)


def _asked() -> dict[str, Any] | None:
    """A request, read octet by octet: what follows it must still be seen by `select`."""
    line = b""
    while not line.endswith(b"\n"):
        octet = os.read(0, 1)
        if not octet:
            return None
        line += octet
    found: dict[str, Any] = json.loads(line)
    return found


def _become(asked: dict[str, Any]) -> None:
    """In the child: run the command line and end with its code."""
    code = 70
    try:
        output = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for number in (1, 2):
            os.dup2(output, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(asked["environment"])
        code = importlib.import_module("appliance.run.cli").main(asked["line"])
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap(running: set[int], ends: Path) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        running.remove(pid)
        draft = ends / f"{pid}.new"
        draft.write_text(str(os.waitstatus_to_exitcode(status)))
        draft.replace(ends / str(pid))


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    serve(Path(sys.argv[1]))
