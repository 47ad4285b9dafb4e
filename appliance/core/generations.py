"""Generations: the counters of control.db as a process looks at them again and again.

SQLite writes every commit into the file with -wal behind its name, so as long as that was not written to,
the counters are what they were: to look at the file costs 5 us, to ask the database about 1 ms, and each
process looks five times a second. A commit counts only some time after it was written (on a slow disk the
flush lies between), so the database is asked once a second whatever the file says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.control import generations
from appliance.core.database import file_of, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.control import Part

    Written = tuple[int, int, int]  # file, octets, ns

ASK_SECONDS: Final = 1.0
_TICK_MS: Final = 50
"""Files are dated to 4 or 10 ms: of what was written just now, more may follow under the same date."""


class Generations:
    """For one loop of a process; several may have one each."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        file = file_of(engine)
        self._wal = file.with_name(file.name + "-wal") if file else None
        self._known: Mapping[Part, int] = {}
        self._as_of: Written | None = None
        self._asked_at = 0.0

    async def look(self) -> Mapping[Part, int]:
        """The counter of every part. Raises StoreError."""
        written, now = self._written(), clock.monotonic()
        if written and written == self._as_of and now - self._asked_at < ASK_SECONDS:
            return self._known
        async with reading(self._engine) as connection:
            self._known = await generations(connection)
        self._as_of, self._asked_at = written, now
        return self._known

    def _written(self) -> Written | None:
        """When the database was written to; None where that does not tell enough."""
        if self._wal is None:
            return None
        try:
            found = self._wal.stat()
        except OSError:  # nobody has written yet
            return None
        if abs(clock.now_ms() - found.st_mtime_ns // 1_000_000) < _TICK_MS:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
