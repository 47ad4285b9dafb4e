"""Schedule: the backups that the box makes by itself ([backup]), in a thread of the worker.

A step looks whether one is due, makes it, verifies it and deletes the oldest beyond `keep`, but only when
the new one is sound. One that failed is told as a notice until one succeeds, and tried again after an
hour at most. When the process is told to stop, a backup that runs is given up.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import PillarboxError, StoreError
from appliance.core.scope import Scope
from appliance.notices import Finding, Severity
from appliance.run.backup import archive
from appliance.run.backup.keys import of_key_file
from appliance.run.backup.make import Made, make
from appliance.run.backup.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.notices import Notices

KIND: Final = "backup"
RETRY_MS: Final = clock.HOUR
_SYSTEM: Final = Scope.system(by="worker")
_log = logging.getLogger(__name__)


class StoppedError(StoreError):
    """The process is to end."""


class BackupSchedule:
    """The worker's loop."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        notices: Notices,
        stop: asyncio.Event,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._home, self._settings, self._notices = home, settings, notices
        self._options, self._stop, self._now = settings.backup, stop, now
        self._folder = Path(self._options.directory)
        self._tried_at = 0

    async def step(self) -> bool:
        """Make a backup if it is time; never more to do at once."""
        if not self._is_due():
            return False
        self._tried_at = self._now()
        try:
            made = await asyncio.to_thread(self._make)
        except StoppedError:
            return False
        except PillarboxError as error:
            await self._failed(str(error))
            return False
        _log.info("backup %s: %d files", made.path, len(made.manifest.files))
        await self._notices.resolve(_SYSTEM, KIND, str(self._folder))
        return False

    def _is_due(self) -> bool:
        if not self._options.directory:
            return False
        every = int(self._options.every * clock.SECOND)
        if self._now() - self._tried_at < min(every, RETRY_MS):
            return False
        made = archive.backups_in(self._folder)
        newest = archive.Reader(made[-1]).header.created_at if made else 0
        return self._now() - newest >= every

    def _make(self) -> Made:
        secret = of_key_file(self._home.path / self._options.key_file)
        target = (self._folder, secret)
        made = make(self._home, self._home.config_file, self._settings, target, self._go_on)
        reader = archive.Reader(made.path)
        manifest = reader.open(secret.key(reader.header.kdf))
        found = verify(reader, manifest, self._go_on, self._home.path)
        if found.wrong:
            raise StoreError(f"{made.path} is not sound: {found.wrong[0]}")
        for old in archive.prune(self._folder, self._options.keep):
            _log.info("backup %s is older than those that are kept: deleted", old)
        return made

    def _go_on(self, _stage: str, _done: int, _of: int) -> None:
        if self._stop.is_set():
            raise StoppedError("the process was told to stop")

    async def _failed(self, words: str) -> None:
        _log.error("no backup was made: %s", words)
        finding = Finding(
            kind=KIND,
            subject=str(self._folder),
            text=f"no backup was made: {words}",
            next_step=f"`pillarbox backup list {self._folder}` shows what there is; the next try is made"
            " within the hour",
            severity=Severity.CRITICAL,
        )
        await self._notices.raise_(_SYSTEM, finding)
