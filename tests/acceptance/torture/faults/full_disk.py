"""A full disk: writes fail with ENOSPC, some after half of their octets; or the box sees in time that
nothing is free. Either way clients get 452, and the processes stay up."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class FullDisk(Fault):
    name = "full disk"

    def __init__(self, stage: Stage, *, is_seen: bool) -> None:
        """`is_seen`: the file system tells that nothing is free, before a write fails."""
        self.name = "full disk, seen" if is_seen else "full disk"
        self.seconds = stage.seconds(2.5, 3, 20)
        self._is_seen = is_seen
        self._before = self._refused = 0
        self._pids: dict[str, int] = {}

    async def begin(self, stage: Stage) -> None:
        self._pids = stage.box.pids()
        self._before, self._refused = _told(stage), stage.shim.control.refused_writes
        stage.shim.control.no_space_told = int(self._is_seen)
        stage.shim.control.disk_errno = 0 if self._is_seen else errno.ENOSPC

    async def end(self, stage: Stage) -> None:
        stage.shim.control.no_space_told = stage.shim.control.disk_errno = 0
        self._before = _told(stage) - self._before
        self._refused = stage.shim.control.refused_writes - self._refused

    async def happened(self, stage: Stage) -> str:
        assert self._before > 0, f"no client was told 452 4.3.1: {stage.ledger.answers}"
        assert self._is_seen or self._refused > 0, "no write failed"
        mtas = {name for name in self._pids if name.startswith("mta-")}
        now = stage.box.pids()
        assert {n: self._pids[n] for n in mtas} == {n: now.get(n) for n in mtas}, "one went down"
        return f"{self.seconds:.0f} s, 452 said {self._before} times, {self._refused} writes failed"


def _told(stage: Stage) -> int:
    return stage.ledger.answers["452 4.3.1"]
