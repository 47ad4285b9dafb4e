"""A disk that became read-only, as a kernel makes it after an error: no write, no opening for writing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class ReadOnlyDisk(Fault):
    name = "read-only disk"

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(2, 2, 20)
        self._refused = self._acknowledged = 0

    async def begin(self, stage: Stage) -> None:
        self._refused = stage.shim.control.refused_writes
        stage.shim.control.disk_errno = errno.EROFS

    async def end(self, stage: Stage) -> None:
        stage.shim.control.disk_errno = 0
        self._refused = stage.shim.control.refused_writes - self._refused

    async def happened(self, stage: Stage) -> str:
        assert self._refused > 0, "nobody tried to write"
        return f"{self.seconds:.0f} s, {self._refused} writes refused"
