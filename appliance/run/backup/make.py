"""Make: a backup of a box that runs, or stands, without holding it up.

    what passes through (files.py)  ->  databases (databases.py)  ->  files  ->  what passes, once more

The order is what makes it complete: see there. A database is copied in the clear into HOME/backup.tmp for
the moment, because the folder of the backups may be anybody's disk; that takes room for the largest of them.

Nothing of the box is changed. A backup that fails leaves nothing behind.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.core.files import in_words
from appliance.run.backup.archive import FORMAT, Header, Manifest, Writer
from appliance.run.backup.databases import Copies, Progress, take_databases
from appliance.run.backup.files import take_named, take_passing, take_standing

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.run.backup.keys import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backup that was made."""

    path: Path
    manifest: Manifest


def make(
    home: Home, config: Path, settings: Settings, target: tuple[Path, Secret], progress: Progress
) -> Made:
    """Back the box up into a new folder within `target`, sealed with its secret."""
    folder, secret = target
    _refuse_postgres(home, settings)
    kdf, now = secret.new_kdf(), clock.now_ms()
    header = Header(format=FORMAT, created_at=now, hostname=settings.box.hostname, kdf=kdf)
    temporary = home.path / "backup.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    writer = Writer(folder, header, secret.key(kdf))
    try:
        with in_words(temporary):
            temporary.mkdir(mode=0o700)
        copies = Copies(home=home, writer=writer, temporary=temporary, progress=progress)
        take_passing(home, writer)
        waiting = take_databases(copies)
        take_standing(home, config, writer)
        named = take_named(home, settings, writer)
        take_passing(home, writer)
        manifest = Manifest(
            created_at=now,
            ended_at=clock.now_ms(),
            files=tuple(writer.entries),
            waiting=waiting,
            left_out=(*named, *copies.left_out),
        )
        return Made(path=writer.finish(manifest), manifest=manifest)
    except BaseException:
        writer.abandon()
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_postgres(home: Home, settings: Settings) -> None:
    if settings.database.url:
        raise UsageError(
            "the records, the queue and the log of this box are in PostgreSQL, which makes its own backups"
            " while the box runs:\n"
            "    pg_dump --format=custom --file=pillarbox.dump DATABASE\n"
            f"with the address in database.url as DATABASE. What is not in the database is in {home.path}:"
            " copy pillarbox.toml, secrets/, tls/, inbound/, letters/ and your own shaping.toml, blocklists.toml and"
            " warmup/ beside it. Restore with pg_restore, then put these files back"
        )
