"""Vitals: what the machine and the records say of the box, as gauges for who watches it from outside.

    notices that stand (by kind and severity), free disk, the certificate's end, the newest backup,
    and when the event log and the statistics had last taken in all there was

One step of the worker reads them; a file that is missing or unreadable shows as 0, which every alert
takes for too old. Nothing is written. Fails with StoreError when the notices cannot be read.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from appliance.core import clock
from appliance.core.errors import PillarboxError
from appliance.core.scope import Scope
from appliance.run.backup import archive
from appliance.run.certificates import tls_files

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.metrics import Metrics
    from appliance.core.settings import Settings
    from appliance.notices import Notices

PAUSE: Final = 15.0
_MOST: Final = 1000
_SYSTEM: Final = Scope.system(by="worker")


class Vitals:
    """The worker's loop."""

    def __init__(self, home: Home, settings: Settings, notices: Notices, metrics: Metrics) -> None:
        self._home, self._settings = home, settings
        self._notices, self._metrics = notices, metrics

    async def step(self) -> bool:
        """Look once."""
        await asyncio.to_thread(self._look)
        standing = await self._notices.list(_SYSTEM, limit=_MOST)
        counts = Counter[tuple[str, ...]]((one.kind, one.severity) for one in standing)
        self._metrics.notices.show(counts)
        return False

    def _look(self) -> None:
        metrics, disk = self._metrics, shutil.disk_usage(self._home.spool_dir)
        metrics.disk_free.set(disk.free)
        metrics.disk_size.set(disk.total)
        certificate, _ = tls_files(self._home, self._settings)
        metrics.certificate_ends.set(certificate_end(certificate))
        if self._settings.backup.directory:
            folder = Path(self._settings.backup.directory)
            metrics.backup_made.show({(str(folder),): newest_backup(folder)})


def certificate_end(path: Path) -> float:
    """When the certificate ends, in seconds; 0 when it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def newest_backup(folder: Path) -> float:
    """When the newest backup was made, in seconds; 0 when there is none."""
    try:
        made = archive.backups_in(folder)
        return archive.Reader(made[-1]).header.created_at / clock.SECOND if made else 0.0
    except PillarboxError:
        return 0.0
