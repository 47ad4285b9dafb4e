"""Two owners: a second box on the same home is refused; a stranger that takes a shard fences its owner.

The stranger goes past the lock file, as on a file system where locks do nothing. The old owner's next
commit must fail, and it ends; nothing it acknowledged may be missing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault
from tests.support.box import PILLARBOX, ROOT

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage

_STRANGER = """
import sys
from pathlib import Path
from appliance.core import clock
from mta.spool.backend import SqliteBackend
from mta.spool.store import SpoolStore
store = SpoolStore(SqliteBackend(Path(sys.argv[1])), int(sys.argv[2]))
store.open("a stranger", clock.now_ms())
store._connection.close()
"""


class SecondBox(Fault):
    """While one of the first one's processes stands still: it must not be taken for dead."""

    name = "a second box on the same home"

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._words = ""

    async def begin(self, stage: Stage) -> None:
        self._before = stage.box.pids()
        _, pid = await stage.mta_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            await self._serve(stage)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _serve(self, stage: Stage) -> None:
        command = [*PILLARBOX, "--home", str(stage.box.home.path), "serve"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 40)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode not in (0, None), out
        self._words = out.decode().strip()[-200:]

    async def happened(self, stage: Stage) -> str:
        assert stage.box.pids() == self._before, "the box that ran was disturbed"
        assert "runs already" in self._words, self._words
        return "refused"


class Stranger(Fault):
    name = "a stranger takes a shard"

    def __init__(self) -> None:
        self._name, self._pid = "", 0

    async def begin(self, stage: Stage) -> None:
        self._name, self._pid = await stage.mta_pid()
        number = self._name.removeprefix("mta-")
        path = str(stage.box.home.spool_db(int(number)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _STRANGER, path, number, cwd=ROOT
        )
        assert await asyncio.wait_for(process.wait(), 40) == 0
        await stage.box.gone({self._pid}, seconds=20)

    async def happened(self, stage: Stage) -> str:
        assert stage.box.pids()[self._name] != self._pid
        return f"{self._name} was fenced and started anew"
