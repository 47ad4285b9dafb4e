"""SIGSTOP: a process does nothing for a while and then goes on as if no time had passed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault
from tests.support.way import until

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class Stop(Fault):
    """Of one process, mostly one that handles mail."""

    name = "SIGSTOP"

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(3, 1, 30)
        self._victim, self._pid, self._state = "", 0, ""

    async def begin(self, stage: Stage) -> None:
        pids = stage.box.pids()
        names = sorted(pids)
        self._victim = stage.dice.choice([*names, *(n for n in names if n.startswith("mta-"))])
        self._pid = pids[self._victim]
        os.kill(self._pid, signal.SIGSTOP)
        await until(lambda: self._now() == "T")

    async def end(self, stage: Stage) -> None:
        self._state = self._now()
        os.kill(self._pid, signal.SIGCONT)

    async def happened(self, stage: Stage) -> str:
        assert self._state == "T", f"{self._victim} did not stand still: {self._state}"
        assert self._now() != "T", f"{self._victim} stands still for ever"
        return f"{self._victim} for {self.seconds:.0f} s"

    def _now(self) -> str:
        try:
            return Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "gone"
