"""Supervisor: one parent that imports, opens the sockets, freezes the heap and forks the processes.

Forked children share what the parent has imported (plans.py says what; docs/performance.md what it is
worth) and inherit the listening sockets. A child that dies is started again, with a
growing pause if it keeps dying; SIGTERM and Ctrl-C drain all of them within the time limit. The
parent runs no event loop and no thread, so that forking is safe at any time.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock, memory
from appliance.core.errors import StoreError
from appliance.run import descriptors
from appliance.run import sockets as listening
from appliance.run.process import Context, fork, run_child
from mta.submission.listener import tls_context

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from appliance.core.home import Home
    from appliance.core.settings import Settings

log = logging.getLogger(__name__)

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
SETTLED_AFTER = 1.0
"""A child that lived this long starts with a short pause again."""

_KILL_GRACE = 5.0
GC_THRESHOLDS = (20_000, 10, 10)
"""A message makes some hundred objects that reference counting frees; looking for cycles every 700
of them is time lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A process to keep running."""

    name: str
    module: str  # whose `main` it runs; imported in the process, unless the parent has it
    listeners: tuple[str, ...]
    shards: tuple[int, ...]


@dataclass(slots=True)
class _Child:
    plan: Plan
    pid: int = 0
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    restart_at: float = 0.0


class Supervisor:
    """Keeps the processes of a box running."""

    def __init__(self, home: Home, settings: Settings, plans: list[Plan]) -> None:
        self._home, self._settings = home, settings
        self._children = [_Child(plan) for plan in plans]
        self._sockets: dict[str, socket.socket] = {}
        self._tls = tls_context()  # before any fork: its processes share the keys of TLS sessions
        self._pipe = (-1, -1)
        self._stopping = False

    def run(self, on_ready: Callable[[], None] | None = None) -> int:
        """Open the sockets, start everything, and wait until told to stop. Returns an exit code."""
        self._sockets = listening.open_all(self._settings)
        descriptors.raise_limit()
        memory.slim_tls()
        memory.share_heap()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._pipe = os.pipe()
        memory.give_back()
        memory.fill_holes()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        listening.publish(self._home, self._sockets)
        try:
            for child in self._children:
                self._start(child)
            if on_ready is not None:
                on_ready()
            while not self._stopping:
                self._wait()
            return self._drain()
        finally:
            self._close()

    # -- starting ----------------------------------------------------------

    def _start(self, child: _Child) -> None:
        child.started_at = clock.monotonic()
        child.pid = fork(lambda: self._in_child(child.plan))
        log.info("%s runs with pid %d", child.plan.name, child.pid)

    def _in_child(self, plan: Plan) -> int:
        os.close(self._pipe[1])
        inbound = listening.place_of(self._sockets.get("inbound"))
        for name, sock in self._sockets.items():
            if name not in plan.listeners:
                sock.close()
        given = {name: self._sockets[name] for name in plan.listeners if name in self._sockets}
        names = tuple(child.plan.name for child in self._children)

        def context(stop: asyncio.Event) -> Context:
            return Context(
                name=plan.name,
                home=self._home,
                settings=self._settings,
                sockets=given,
                shards=plan.shards,
                processes=names,
                inbound_place=inbound,
                stop=stop,
                tls=self._tls,
            )

        level = self._settings.logging.level
        return run_child(plan.module, context, plan.name, level, self._pipe[0])

    # -- watching ----------------------------------------------------------

    def _wait(self) -> None:
        due = [child.restart_at for child in self._children if not child.pid]
        timeout = max(0.0, min(due) - clock.monotonic()) if due else 3600.0
        info = signal.sigtimedwait(_SIGNALS, timeout)
        if info is not None and info.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stopping = True
            return
        self._reap()
        now = clock.monotonic()
        for child in self._children:
            if not child.pid and child.restart_at <= now:
                self._start_again(child)

    def _start_again(self, child: _Child) -> None:
        """A machine that is short of memory or pids fails the fork: the others must not end for that."""
        try:
            self._start(child)
        except OSError as error:
            child.pause = min(child.pause * 2, LONGEST_PAUSE)
            child.restart_at = clock.monotonic() + child.pause
            why = f"{child.plan.name} could not be started: {error.strerror}"
            log.warning("%s: it is tried again in %.1f s", why, child.pause)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: _Child, status: int) -> None:
        child.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if self._stopping:
            return
        lived = clock.monotonic() - child.started_at
        child.pause = FIRST_PAUSE if lived >= SETTLED_AFTER else min(child.pause * 2, LONGEST_PAUSE)
        if code == StoreError.exit_code:  # it takes a person, or a database that comes back
            child.pause = LONGEST_PAUSE
        child.restart_at = clock.monotonic() + child.pause
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        log.error("%s %s: it starts again in %.1f s", child.plan.name, how, child.pause)

    # -- stopping ----------------------------------------------------------

    def _drain(self) -> int:
        self._signal_all(signal.SIGTERM)
        limit = clock.monotonic() + self._settings.processes.drain_timeout + _KILL_GRACE
        while any(child.pid for child in self._children):
            left = limit - clock.monotonic()
            if left <= 0:
                log.error("some processes did not drain in time: they are killed")
                self._signal_all(signal.SIGKILL)
                limit = clock.monotonic() + _KILL_GRACE
            signal.sigtimedwait({signal.SIGCHLD}, max(0.05, min(left, 1.0)))
            self._reap()
        return 0

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                os.kill(child.pid, number)

    def _close(self) -> None:
        self._signal_all(signal.SIGKILL)
        for sock in self._sockets.values():
            sock.close()
        os.close(self._pipe[0])
        os.close(self._pipe[1])
        (self._home.run_dir / "listeners.json").unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
