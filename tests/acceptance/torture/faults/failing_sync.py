"""A flush that fails once with EIO. Nobody knows then what is on the disk: the file is never flushed again by
the same process, which ends, starts anew and recovers. Of control.db and the event log only the transaction
fails: its octets are written again before the next flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault
from tests.support.way import until

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class FailingSync(Fault):
    name = "fsync answers EIO once"

    def __init__(self) -> None:
        self._victim, self._pid, self._where = "", 0, ""
        self._failed = self._repeated = 0

    async def begin(self, stage: Stage) -> None:
        control = stage.shim.control
        self._victim, self._pid = await stage.mta_pid()
        for earlier in control.victims:  # of the log, which its process goes on with
            earlier.pid = 0
        self._failed, self._repeated = control.failed_syncs, control.repeated_syncs
        number = self._victim.removeprefix("mta-")
        self._where, what = stage.dice.choice([("a commit", "-wal$"), ("a checkpoint", "$")])
        control.failing = f"/spool-{number}.db{what}".encode()
        control.syncs_to_fail = 1
        await until(lambda: control.failed_syncs > self._failed, seconds=20)
        await stage.box.gone({self._pid}, seconds=20)

    async def end(self, stage: Stage) -> None:
        stage.shim.control.syncs_to_fail = 0

    async def happened(self, stage: Stage) -> str:
        control = stage.shim.control
        assert control.failed_syncs == self._failed + 1, "it happened more than once"
        repeated = control.repeated_syncs - self._repeated
        assert not repeated, f"{self._victim} flushed the same file {repeated} times more"
        return f"in {self._where}: {self._victim} ended and started anew"


class FailingSyncOfOthers(Fault):
    name = "EIO, control.db or log"

    def __init__(self) -> None:
        self._failing = ""
        self._failed = 0

    async def begin(self, stage: Stage) -> None:
        control = stage.shim.control
        self._failing = stage.dice.choice(["/control.db", "/log/"])
        self._failed = control.failed_syncs
        control.failing = self._failing.encode()
        control.syncs_to_fail = 1
        await until(lambda: control.failed_syncs > self._failed, seconds=20)

    async def end(self, stage: Stage) -> None:
        stage.shim.control.syncs_to_fail = 0

    async def happened(self, stage: Stage) -> str:
        return f"a flush of {self._failing} failed"
