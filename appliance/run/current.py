"""Current: the directory snapshot of this process, replaced when control.db changes or a pause has ended."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.run.directory import DirectoryReader
    from mta.directory import Directory

log = logging.getLogger(__name__)


class Current:
    """Holds the newest directory; call it to get it."""

    def __init__(self, reader: DirectoryReader, directory: Directory) -> None:
        self._reader, self._directory = reader, directory
        self._listeners: list[Callable[[Directory], None]] = []
        self._looking = asyncio.Lock()  # two looks at once would take each other's news

    @classmethod
    async def load(cls, reader: DirectoryReader) -> Current:
        """Read everything once."""
        return cls(reader, await reader.load())

    def __call__(self) -> Directory:
        return self._directory

    def subscribe(self, listener: Callable[[Directory], None]) -> None:
        """Call `listener` with each new directory."""
        self._listeners.append(listener)

    async def step(self) -> bool:
        """Look for changes; a store that cannot answer leaves the directory as it stands."""
        async with self._looking:
            await self._look()
        return False

    async def with_sender(self, credential_id: int) -> Directory:
        """The directory; looked at anew when it lacks a credential, which may be a moment old."""
        if credential_id and credential_id not in self._directory.senders:
            await self.step()
        return self._directory

    async def _look(self) -> None:
        found: Directory | None = None
        try:
            found = await self._reader.poll()
        except StoreError as error:
            log.warning("control.db does not answer, the last known directory holds: %s", error)
        newest = in_force(found or self._directory, clock.now_ms())
        if newest is not self._directory:
            self._directory = newest
            for listener in self._listeners:
                listener(newest)


def in_force(directory: Directory, now: int) -> Directory:
    """Without the pauses that have ended by themselves, whether or not their rows are gone."""
    if all(not 0 < pause.expires_at <= now for pause in directory.pauses):
        return directory
    pauses = tuple(pause for pause in directory.pauses if not 0 < pause.expires_at <= now)
    return replace(directory, pauses=pauses)
