"""Somebody else holds a database's write lock: of control.db, or of a shard's spool."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from appliance.core import ids
from appliance.core.database import sqlite_connect
from mta.spool.backend import BUSY_SECONDS
from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class Locked(Fault):
    bears_kills = True

    def __init__(self, stage: Stage, *, is_spool: bool) -> None:
        self.name = "spool locked" if is_spool else "control.db locked"
        self.seconds = stage.seconds(2, 2, 25)
        self._shard = stage.dice.randrange(2)
        self._is_spool = is_spool
        self._connection: Any = None
        self._since = self._until = 0.0
        self._told = 0

    async def begin(self, stage: Stage) -> None:
        home = stage.box.home
        path = home.spool_db(self._shard) if self._is_spool else home.control_db
        self._told = stage.ledger.answers["451 4.3.0"]
        self._connection = sqlite_connect(path)
        while not self._since:  # the one who writes all the time has it most of the time
            await asyncio.to_thread(self._connection.execute, "BEGIN EXCLUSIVE")
            self._since = time.monotonic()

    async def end(self, stage: Stage) -> None:
        self._until = time.monotonic()
        if self._since:
            self._connection.execute("ROLLBACK")
        self._connection.close()

    async def happened(self, stage: Stage) -> str:
        if self._is_spool:
            taken = [letter for letter in stage.ledger.letters.values() if self._is_within(letter)]
            assert not taken, f"the shard was locked and took {taken[:3]}"
        lasted = self._until - self._since
        told = stage.ledger.answers["451 4.3.0"] - self._told
        if self._is_spool and lasted > BUSY_SECONDS + 5:
            assert told, "clients of a shard that was locked for long heard nothing"
        return f"{lasted:.0f} s, 451 said {told} times"

    def _is_within(self, letter: Any) -> bool:
        if not letter.acknowledged or not self._since + 0.5 < letter.answered_at < self._until:
            return False
        return ids.shard_of(ids.from_text(letter.acknowledged)) == self._shard
