"""kill -9 of any process, the supervisor too: then its children drain, and the box is started again."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class Kill(Fault):
    """Of one process; which, the dice say."""

    name = "kill -9"

    def __init__(self, victim: str = "") -> None:
        self._victim = victim
        self.words = ""

    async def begin(self, stage: Stage) -> None:
        pids = stage.box.pids()
        victim = self._victim or stage.dice.choice(sorted(pids))
        if victim.startswith("mta"):
            victim, pid = await stage.mta_pid()
        else:
            pid = pids[victim]
        await asyncio.sleep(stage.dice.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
        if victim == "supervisor":
            await self._start_again(stage, set(pids.values()))
        await stage.box.gone({pid})
        self.words = victim

    async def _start_again(self, stage: Stage, pids: set[int]) -> None:
        await stage.box.running.process.wait()
        await stage.box.gone(pids)
        stage.box.all_died("ended without its supervisor")
        await stage.box.start()

    async def happened(self, stage: Stage) -> str:
        return self.words
