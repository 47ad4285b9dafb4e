"""Floors: below which free disk space and memory new mail is not taken (452), before anything breaks.

Looked at once a second by each process that receives mail. Between two looks the messages that are being
received may grow by what is above the floor of memory, shared out among the processes; what is queued
goes on being delivered, which frees both. Never fails: what cannot be measured is not short.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Final

from appliance.core import free_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.core.settings import Spool
    from appliance.run.process import Context
    from mta.submission.room import Room

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
COPIES: Final = 4
"""Of a message, at the worst moment of its way in: as received, prepared, signed, in the store's hands."""


class Floors:
    """What one process knows of the room that is left."""

    def __init__(
        self,
        settings: Spool,
        folder: Path,
        room: Room,
        *,
        processes: int = 1,
        available: Callable[[], int] = free_memory.available,
    ) -> None:
        """`folder`: on the disk that is looked at; `processes` receive mail on this machine."""
        self.shortage = ""
        self._settings, self._folder, self._room = settings, folder, room
        self._share = COPIES * max(1, processes)
        self._available = available

    @classmethod
    def of(cls, context: Context, room: Room) -> Floors:
        """Of a process that was given its context."""
        folder = context.home.spool_dir
        return cls(context.settings.spool, folder, room, processes=context.mta_processes + 1)

    @property
    def has_room(self) -> bool:
        """Whether new mail is taken."""
        return not self.shortage

    def look(self) -> None:
        """Measure, and tell the rooms."""
        spare = self._available() - self._settings.min_free_memory_bytes
        shortage = self._disk() or ("" if spare >= 0 else self._words("memory", -spare))
        if shortage and not self.shortage:
            log.error("new mail is refused with 452: %s", shortage)
        elif self.shortage and not shortage:
            log.info("new mail is taken again")
        self.shortage = shortage
        self._room.adapt(spare // self._share, shortage)

    async def step(self) -> bool:
        """One look, for an endless loop."""
        self.look()
        return False

    def check(self) -> tuple[bool, str]:
        """For /health."""
        disk, memory = self._settings.min_free_bytes, self._settings.min_free_memory_bytes
        words = f"{disk >> 20} MB of disk and {memory >> 20} MB of memory must be free for new mail"
        return self.has_room, self.shortage or words

    def _disk(self) -> str:
        try:
            missing = self._settings.min_free_bytes - shutil.disk_usage(self._folder).free
        except OSError:
            return ""
        return self._words("disk space", missing) if missing > 0 else ""

    def _words(self, what: str, missing: int) -> str:
        return f"too little {what}: {max(1, missing >> 20)} MB are missing"
