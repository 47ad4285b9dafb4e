"""Databases: the copies of the box's databases, in the order that lets what is copied later know more.

    spools        short reads beside their owners (mta/spool/copy.py)
    statistics    what they have counted is in the log
    outboxes      once more (late.py)
    log, control  what has left an outbox is in both

All but the spools with VACUUM INTO. A day of the log that is damaged, or damaged statistics, are left out
and named: a restored box begins them anew. A damaged spool or control.db fails the backup.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.database import sqlite_connect, translated
from appliance.core.errors import StoreDamagedError, StoreError
from appliance.history import damaged_in
from appliance.run.backup import late
from appliance.run.backup.files import chunks
from appliance.run.spools import shards_with_a_file
from mta.spool.copy import copy
from mta.spool.reading import SpoolReader, SqliteReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.run.backup.archive import Writer

Progress = Callable[[str, int, int], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What copying needs, and what came of it."""

    home: Home
    writer: Writer
    temporary: Path
    progress: Progress
    left_out: list[str] = field(default_factory=list)


def take_databases(copies: Copies) -> int:
    """Copy and seal all of them; returns how many recipients wait."""
    home, waiting, newest = copies.home, 0, {}
    for shard in shards_with_a_file(home):
        waiting += _copy_spool(shard, copies)
        newest[shard] = late.newest_event(copies.temporary / home.spool_db(shard).name)
        _seal(home.spool_db(shard), copies)
    _take_unless_damaged(home.path / "statistics.db", copies)
    for shard, event in newest.items():
        path = home.spool_dir / late.name_of(shard)
        late.copy_events(home.spool_db(shard), shard, event, copies.temporary / path.name)
        _seal(path, copies)
    for day in sorted(home.log_dir.glob("*.db")):
        _take_unless_damaged(day, copies)
    copies.left_out.extend(str(home.log_dir / name) for name in damaged_in(home.log_dir))
    _take(home.control_db, copies)
    return waiting


def _copy_spool(shard: int, copies: Copies) -> int:
    path = copies.home.spool_db(shard)
    reader = SpoolReader(SqliteReader(path), shard)
    try:
        return copy(reader, copies.temporary / path.name, clock.now_ms(), copies.progress)
    finally:
        reader.close()


def _take_unless_damaged(database: Path, copies: Copies) -> None:
    try:
        _take(database, copies)
    except StoreDamagedError as error:
        _log.warning("%s is not in the backup: %s", database, error)
        copies.left_out.append(f"{database} (damaged)")
        (copies.temporary / database.name).unlink(missing_ok=True)


def _take(database: Path, copies: Copies) -> None:
    try:
        _vacuum_into(database, copies.temporary / database.name)
    except StoreError:
        if database.exists():
            raise
        return  # there never was one, or the log's day was dropped meanwhile
    _seal(database, copies)


def _vacuum_into(database: Path, target: Path) -> None:
    """A copy of one moment."""
    with translated(), closing(sqlite_connect(database, readonly=True)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            # One that was cut to nothing is an empty database to SQLite.
            raise StoreDamagedError(f"{database} is empty: it was cut off")
        connection.execute("VACUUM INTO ?", (str(target),))


def _seal(original: Path, copies: Copies) -> None:
    """The copy, under the name of the original."""
    copied, name = copies.temporary / original.name, str(original.relative_to(copies.home.path))
    copies.writer.add(name, _watched(copied, name, copies.progress))
    copied.unlink()


def _watched(path: Path, name: str, progress: Progress) -> Iterator[bytes]:
    size, done = path.stat().st_size, 0
    for chunk in chunks(path):
        done += len(chunk)
        progress(f"sealing {name}, octets", done, size)
        yield chunk
