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
    """While the owner works; or while it stands still, in the middle of whatever it did, and then goes on."""

    def __init__(self, *, is_owner_still: bool) -> None:
        self.name = "a stranger takes a shard"
        if is_owner_still:
            self.name = "a stranger behind its back"
        self._is_owner_still = is_owner_still
        self._name, self._pid = "", 0

    async def begin(self, stage: Stage) -> None:
        self._name, self._pid = await stage.mta_pid()
        if self._is_owner_still:
            await self._claim_behind_its_back(stage)
        else:
            assert await self._claim(stage)
        await stage.box.gone({self._pid}, seconds=20)

    async def _claim_behind_its_back(self, stage: Stage) -> None:
        """One that was stopped within a transaction holds the lock: it is stopped elsewhere then."""
        for _ in range(10):
            os.kill(self._pid, signal.SIGSTOP)
            try:
                if await self._claim(stage):
                    return
            finally:
                os.kill(self._pid, signal.SIGCONT)
            await asyncio.sleep(stage.dice.uniform(0, 0.2))
        raise AssertionError(f"{self._name} was never stopped outside of a transaction")

    async def _claim(self, stage: Stage) -> bool:
        number = self._name.removeprefix("mta-")
        path = str(stage.box.home.spool_db(int(number)))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _STRANGER, path, number),
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        _, words = await asyncio.wait_for(process.communicate(), 40)
        assert process.returncode == 0 or b"StoreBusyError" in words, words.decode()
        return process.returncode == 0

    async def happened(self, stage: Stage) -> str:
        assert stage.box.pids()[self._name] != self._pid
        return f"{self._name} was fenced and started anew"
