"""Out of file descriptors: the mta processes may open nothing more, no connection in or out."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage

FEW = 12  # fewer than they have open


class NoDescriptors(Fault):
    name = "out of file descriptors"

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(1.5, 2, 20)
        self._limits: dict[int, tuple[int, int]] = {}
        self._greeted = ""

    async def begin(self, stage: Stage) -> None:
        for name, pid in stage.box.pids().items():
            if name.startswith("mta-"):
                soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                self._limits[pid] = soft, hard
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW, hard))
        await asyncio.sleep(0.2)
        self._greeted = await _greeting(*stage.box.places()["submission"])

    async def end(self, stage: Stage) -> None:
        for pid, limits in self._limits.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    async def happened(self, stage: Stage) -> str:
        assert not self._greeted.startswith("220"), "a connection was accepted all the same"
        return f"{self.seconds:.0f} s, {len(self._limits)} processes"


async def _greeting(host: str, port: int) -> str:
    """What a newcomer hears within a second."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return (await asyncio.wait_for(reader.readline(), 1)).decode()
    except (TimeoutError, OSError):
        return ""
    finally:
        writer.close()
