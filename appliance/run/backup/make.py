"""Make: a backup of a box that runs, or stands, without holding it up.

In this order, so that what is copied later knows more: the spools (short reads beside their owners,
mta/spool/copy.py), the event log, control.db (both with VACUUM INTO), then the files: configuration, keys,
certificate, notices that came in. A database is copied in the clear into HOME/backup.tmp for the moment,
because the folder of the backups may be anybody's disk; that takes room for the largest of them.

Nothing of the box is changed. A backup that fails leaves nothing behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.database import sqlite_connect, translated
from appliance.core.errors import UsageError
from appliance.core.files import in_words
from appliance.core.sealed import CHUNK
from appliance.run.backup.archive import FORMAT, Header, Manifest, Writer
from appliance.run.spools import shards_with_a_file
from mta.spool.copy import copy
from mta.spool.reading import SpoolReader, SqliteReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.run.backup.keys import Secret

Progress = Callable[[str, int, int], None]

_OWN_FILES: Final = (
    *("shaping.toml", "blocklists.toml", "warmup/*.toml", "tls/*", "secrets/*"),
    *("inbound/new/*", "inbound/unreadable/*", "inbound/postmaster/*"),
    *("spool/corrupt/*.json", "spool/corrupt/*.eml"),
)
CONFIG: Final = "pillarbox.toml"


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
        waiting = _databases(home, writer, temporary, progress)
        _files(home, config, writer)
        manifest = Manifest(
            created_at=now,
            ended_at=clock.now_ms(),
            files=tuple(writer.entries),
            waiting=waiting,
            left_out=tuple(_left_out(home, settings)),
        )
        return Made(path=writer.finish(manifest), manifest=manifest)
    except BaseException:
        writer.abandon()
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _databases(home: Home, writer: Writer, temporary: Path, progress: Progress) -> int:
    waiting = 0
    for shard in shards_with_a_file(home):
        path = temporary / home.spool_db(shard).name
        reader = SpoolReader(SqliteReader(home.spool_db(shard)), shard)
        try:
            waiting += copy(reader, path, clock.now_ms(), progress)
        finally:
            reader.close()
        _take(path, home.spool_db(shard), home, writer, progress)
    counts = home.path / "statistics.db"  # before the log: what it has counted is in there
    for database in (counts, *sorted(home.log_dir.glob("*.db")), home.control_db):
        path = temporary / database.name
        if _vacuum_into(database, path):
            _take(path, database, home, writer, progress)
    return waiting


def _vacuum_into(database: Path, target: Path) -> bool:
    """A copy of one moment; False when the log's day was dropped meanwhile."""
    if not database.exists():
        return False
    with translated():
        connection = sqlite_connect(database, readonly=True)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        finally:
            connection.close()
    return True


def _take(copied: Path, original: Path, home: Home, writer: Writer, progress: Progress) -> None:
    name = str(original.relative_to(home.path))
    writer.add(name, _watched(copied, name, progress))
    copied.unlink()


def _watched(path: Path, name: str, progress: Progress) -> Iterator[bytes]:
    size, done = path.stat().st_size, 0
    for chunk in _chunks(path):
        done += len(chunk)
        progress(f"sealing {name}, octets", done, size)
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _files(home: Home, config: Path, writer: Writer) -> None:
    writer.add(CONFIG, _chunks(config))
    for pattern in _OWN_FILES:
        for path in sorted(home.path.glob(pattern)):
            try:
                content = path.read_bytes() if path.is_file() else None
            except FileNotFoundError:  # a notice that was read meanwhile: the log has what it said
                continue
            if content is not None:
                writer.add(str(path.relative_to(home.path)), iter([content]))


def _left_out(home: Home, settings: Settings) -> Iterator[str]:
    """What the box needs and the backup cannot have: files elsewhere, and what is in the environment."""
    named = (
        settings.tls.certificate,
        settings.tls.private_key,
        settings.shaping.file,
        settings.blocklists.file,
    )
    for name in named:
        path = home.path / name
        if name and not path.is_relative_to(home.path):
            yield str(path)


def _refuse_postgres(home: Home, settings: Settings) -> None:
    if settings.database.url:
        raise UsageError(
            "the records, the queue and the log of this box are in PostgreSQL, which makes its own backups"
            " while the box runs:\n"
            "    pg_dump --format=custom --file=pillarbox.dump DATABASE\n"
            f"with the address in database.url as DATABASE. What is not in the database is in {home.path}:"
            " copy pillarbox.toml, secrets/, tls/, inbound/ and your own shaping.toml, blocklists.toml and"
            " warmup/ beside it. Restore with pg_restore, then put these files back"
        )
