"""kill -9 in the middle of a commit, and what was not flushed is torn before the process starts again.

The supervisor stands still meanwhile: it would start the process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault
from tests.acceptance.torture.tear import tear

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage

SLOW_US = 300_000


class TornWrite(Fault):
    name = "kill -9 and a torn write"

    def __init__(self) -> None:
        self._torn = 0
        self._victim = ""

    async def begin(self, stage: Stage) -> None:
        self._victim, pid = await stage.mta_pid()
        supervisor = stage.box.running.process.pid
        stage.shim.control.sync_delay_us = SLOW_US
        os.kill(supervisor, signal.SIGSTOP)
        try:
            await until_it_writes(stage, pid)
            os.kill(pid, signal.SIGKILL)
            await stage.box.gone({pid})
            self._torn = tear(stage.shim.unflushed(pids={pid}), stage.dice)
        finally:
            stage.shim.control.sync_delay_us = 0
            os.kill(supervisor, signal.SIGCONT)

    async def happened(self, stage: Stage) -> str:
        return f"{self._victim}, {self._torn} octets torn"


async def until_it_writes(stage: Stage, pid: int = 0) -> None:
    """Until a process (0: any) has written something of the spool and not flushed it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for file in stage.shim.control.files:
            if file.count and pid in (0, file.pid) and b"/spool-" in file.path:
                await asyncio.sleep(stage.dice.uniform(0, 0.1))
                return
        await asyncio.sleep(0.005)
    raise AssertionError("nothing was written")
