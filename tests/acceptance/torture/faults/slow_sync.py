"""A slow disk: every flush takes a good part of a second. Mail is slower and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class SlowSync(Fault):
    name = "slow fsync"
    bears_kills = True

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(2, 2, 20)
        self._delay = stage.dice.uniform(0.05, 0.6)
        self._slow = 0

    async def begin(self, stage: Stage) -> None:
        self._slow = stage.shim.control.slow_syncs
        stage.shim.control.sync_delay_us = int(self._delay * 1e6)

    async def end(self, stage: Stage) -> None:
        stage.shim.control.sync_delay_us = 0
        self._slow = stage.shim.control.slow_syncs - self._slow

    async def happened(self, stage: Stage) -> str:
        assert self._slow > 0, "no flush was slow"
        return f"{self.seconds:.0f} s, {self._slow} flushes of {self._delay:.2f} s"
