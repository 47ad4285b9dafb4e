"""Process: what every child of the supervisor has in common, from fork to drain.

A child runs one coroutine until the supervisor says stop (SIGTERM) or is gone (its end of a pipe
closes), drains within the time limit, and exits: 0 after a drain, 70 after a crash, which the
supervisor answers with a restart.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from appliance.core import log as logs
from appliance.core import memory
from appliance.core.errors import PillarboxError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable

    from appliance.core.home import Home
    from appliance.core.settings import Settings

log = logging.getLogger(__name__)

EX_SOFTWARE = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a process is given."""

    name: str
    home: Home
    settings: Settings
    sockets: dict[str, socket.socket]
    shards: tuple[int, ...]  # those this process owns (mta), or all (worker, web, inbound)
    processes: tuple[str, ...]  # names of all processes of the box
    inbound_place: tuple[str, int]  # where the box's own inbound listener is reached
    stop: asyncio.Event
    tls: ssl.SSLContext | None = None  # one of all processes: each knows the others' TLS sessions

    @property
    def mta_processes(self) -> int:
        """How many mta processes the box has."""
        return len(self._mtas)

    @property
    def mta_index(self) -> int:
        """Which of them this one is, from 0; 0 for any other process."""
        return self._mtas.index(self.name) if self.name in self._mtas else 0

    @property
    def _mtas(self) -> list[str]:
        return [name for name in self.processes if name.startswith("mta-")]


def fork(work: Callable[[], int]) -> int:
    """Fork; the child does `work` and exits with what it returns. The parent gets the pid."""
    pid = os.fork()
    if pid:
        return pid
    code = EX_SOFTWARE
    try:
        code = work()
    finally:  # a child must never run on in its parent's code
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_child(
    module: str,
    make_context: Callable[[asyncio.Event], Context],
    name: str,
    level: str,
    parent_pipe: int,
) -> int:
    """Run the module's `main` in a forked child; returns the exit code."""
    logs.setup(name, level)
    main = import_module(module).main
    memory.give_back()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the supervisor, which drains us
    try:
        asyncio.run(_main(main, make_context, parent_pipe))
    except PillarboxError as error:
        log.critical("%s stops: %s", name, error)
        return error.exit_code
    return 0


async def _main(
    main: Callable[[Context], Awaitable[None]],
    make_context: Callable[[asyncio.Event], Context],
    parent_pipe: int,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    os.set_blocking(parent_pipe, False)
    loop.add_reader(parent_pipe, _orphaned, stop, parent_pipe)
    try:
        await main(make_context(stop))
    finally:
        loop.remove_reader(parent_pipe)


def _orphaned(stop: asyncio.Event, parent_pipe: int) -> None:
    asyncio.get_running_loop().remove_reader(parent_pipe)
    log.warning("the supervisor is gone: draining")
    stop.set()


def die(words: str) -> None:
    """End at once, without draining: somebody else owns our work, or the disk failed."""
    log.critical("%s", words)
    sys.stderr.flush()
    os._exit(EX_SOFTWARE)
