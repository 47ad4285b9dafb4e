"""A power cut: every process is gone at the same moment, and every file loses what was not flushed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault
from tests.acceptance.torture.faults.torn_write import until_it_writes
from tests.acceptance.torture.tear import tear

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage

SLOW_US = 200_000


class PowerCut(Fault):
    name = "power cut"

    def __init__(self) -> None:
        self.words = ""

    async def begin(self, stage: Stage) -> None:
        stage.shim.control.sync_delay_us = SLOW_US
        await until_it_writes(stage)
        pids = stage.box.pids()
        os.kill(pids["supervisor"], signal.SIGSTOP)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        await stage.box.running.process.wait()
        await stage.box.gone(set(pids.values()))
        stage.box.all_died("lost its power")
        files = stage.shim.unflushed()
        torn = tear(files, stage.dice)
        stage.shim.control.sync_delay_us = 0
        names = sorted({file.path.name for file in files})
        self.words = f"{torn} octets torn in {', '.join(names) or 'no file'}"
        await stage.box.start()

    async def end(self, stage: Stage) -> None:
        stage.shim.control.sync_delay_us = 0

    async def happened(self, stage: Stage) -> str:
        return self.words
