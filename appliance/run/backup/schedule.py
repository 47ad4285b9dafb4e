"""Schedule: the backups that the box makes by itself ([backup]), in a thread of the worker.

A step looks whether one is due, makes it, verifies it and deletes the oldest beyond `keep`, but only when
the new one is sound. One that failed, for whatever reason of ours or the system's, is told as a notice
until one succeeds, and tried again after an hour at most. A newest backup that cannot be read is none:
another one is made. When the process is told to stop, a backup that runs is given up.
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
        self._tried_at = self._made_at = 0

    async def step(self) -> bool:
        """Make a backup if it is time; never more to do at once."""
        if not self._may_try():
            return False
        try:
            made = await asyncio.to_thread(self._make_if_due)
        except StoppedError:
            return False
        except (PillarboxError, OSError) as error:
            self._tried_at = self._now()
            await self._failed(_words(error))
            return False
        if made is not None:
            await self._succeeded(made)
        return False

    def _may_try(self) -> bool:
        pause = min(self._every(), RETRY_MS)
        return bool(self._options.directory) and self._now() - self._tried_at >= pause

    def _every(self) -> int:
        return int(self._options.every * clock.SECOND)

    def _make_if_due(self) -> Made | None:
        if self._now() - self._newest() < self._every():
            return None
        self._tried_at = self._now()
        made = self._make()
        self._made_at = made.manifest.created_at
        return made

    def _newest(self) -> int:
        """When the newest was made; one that cannot be read does not count.

        What this process made does: a folder named for a day to come must not ask for one every hour.
        """
        found = archive.backups_in(self._folder)
        try:
            return archive.Reader(found[-1]).header.created_at if found else 0
        except (PillarboxError, OSError):
            return self._made_at

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

    async def _succeeded(self, made: Made) -> None:
        _log.info("backup %s: %d files", made.path, len(made.manifest.files))
        for name in made.manifest.left_out:
            _log.warning("backup %s does not have %s", made.path, name)
        await self._notices.resolve(_SYSTEM, KIND, str(self._folder))

    def _go_on(self, _stage: str, _done: int, _of: int) -> None:
        if self._stop.is_set():
            raise StoppedError("the process was told to stop")

    async def _failed(self, words: str) -> None:
        _log.error("no backup was made: %s", words)
        finding = Finding(
            kind=KIND,
            subject=str(self._folder),
            text=f"no backup was made: {words}",
            next_step=f"look whether {self._folder} is there, can be written and has room;"
            f" `pillarbox backup list {self._folder}` shows what it has; the next try is made within the hour",
            severity=Severity.CRITICAL,
        )
        await self._notices.raise_(_SYSTEM, finding)


def _words(error: PillarboxError | OSError) -> str:
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    return str(error)
