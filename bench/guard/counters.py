"""Counters: what the interpreter and the store do, by Python's own profile hook and SQLite's trace.

    calls        functions called, Python's and C's: stands for instructions, and is the same on any machine
    turns        of event loops: each is a system call and a wake-up
    reads, writes  system calls on sockets
    statements   of SQL, in the spool
    commits      of the spool: each is a flush

The hook is set in every thread from its start and costs a microsecond a call; it counts only while
`counting`.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mta.spool.backend import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SYSTEM: Final = {
    "epoll.poll": "turns",
    "socket.recv": "reads",
    "socket.recv_into": "reads",
    "socket.send": "writes",
    "socket.sendmsg": "writes",
    "socket.sendall": "writes",
    "_SSLSocket.read": "reads",
    "_SSLSocket.write": "writes",
}
"""By the qualified name of the C function."""


class Counters:
    """What was counted; one for a process."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()  # by module and name
        self._counting = False

    def install(self) -> None:
        """Hook into this thread, all that are begun later, and every spool that is opened later."""
        threading.setprofile(self._hook)
        sys.setprofile(self._hook)
        connect = SqliteBackend.connect

        def traced(backend: SqliteBackend) -> Any:
            connection = connect(backend)
            connection.set_trace_callback(self._statement)
            return connection

        SqliteBackend.connect = traced  # type: ignore[method-assign]  # the one place that it can be seen from

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what happens meanwhile."""
        self._counting = True
        try:
            yield
        finally:
            self._counting = False

    def _hook(self, frame: FrameType, event: str, arg: Any) -> None:
        if not self._counting:
            return
        if event == "call":
            self.counts["calls"] += 1
            code = frame.f_code
            self.functions[f"{_module(code.co_filename)}:{code.co_qualname}"] += 1
        elif event == "c_call":
            self.counts["calls"] += 1
            self.functions[f"C: {arg.__qualname__} in {frame.f_code.co_qualname}"] += 1
            what = _SYSTEM.get(arg.__qualname__)
            if what is not None:
                self.counts[what] += 1

    def _statement(self, text: str) -> None:
        if not self._counting:
            return
        self.counts["statements"] += 1
        if text.startswith("COMMIT"):
            self.counts["commits"] += 1


def _module(path: str) -> str:
    """The last two parts of a file's path."""
    return "/".join(path.removesuffix(".py").rsplit("/", 2)[-2:])
