"""Spools: which shards exist, who owns them, and how one is opened and brought up to date."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from appliance.core.database import check_sqlite_version, open_sync_engine
from appliance.core.errors import StoreError
from appliance.core.migrate import upgrade
from mta.spool.backend import PostgresBackend, SqliteBackend, schema
from mta.spool.salvage.corrupt import finish_repair
from mta.spool.salvage.wal import destroyed_frames

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings

_FILE = re.compile(r"spool-(\d+)\.db$")


AT_MOST = 4
"""mta processes that a box starts by itself: more is worth its memory (40 MB each) only where it is asked for."""


def mta_processes(settings: Settings) -> int:
    """How many mta processes run: as configured, else one for each core that this box may use."""
    return settings.spool.processes or min(AT_MOST, len(os.sched_getaffinity(0)))


def shards_of(home: Home, processes: int) -> list[tuple[int, ...]]:
    """Shards by mta process: each has its own.

    Files left by more processes are shared out, so that nothing is stranded when the number is
    lowered.
    """
    owned: list[list[int]] = [[number] for number in range(processes)]
    for number in shards_with_a_file(home):
        if number >= processes:
            owned[number % processes].append(number)
    return [tuple(numbers) for numbers in owned]


def shards_with_a_file(home: Home) -> list[int]:
    """Shards that have something, or had once."""
    found = map(shard_of_file, home.spool_dir.glob("spool-*.db"))
    return sorted(shard for shard in found if shard is not None)


def shard_of_file(path: Path) -> int | None:
    """Whose store a file is; None for any other."""
    found = _FILE.fullmatch(path.name)
    return int(found.group(1)) if found else None


def lock_file(home: Home, shard: int) -> Path:
    """What the owner of a shard holds."""
    return home.spool_dir / f"spool-{shard}.lock"


def backend_of(home: Home, settings: Settings, shard: int) -> SqliteBackend | PostgresBackend:
    """The database of a shard; nothing is opened yet."""
    url = settings.database.url
    return PostgresBackend(url) if url else SqliteBackend(home.spool_db(shard))


def prepare(home: Home, settings: Settings, shard: int) -> None:
    """Make the database of a shard ready for its owner, who holds the shard's lock; blocks.

    Raises StoreError when it is damaged: opening it could make that worse, and nothing is changed.
    """
    url = settings.database.url
    if not url:
        _prepare_file(home, shard)
    engine = open_sync_engine(url or home.spool_db(shard))
    try:
        upgrade("spool", engine, tables=schema())
    finally:
        engine.dispose()


def _prepare_file(home: Home, shard: int) -> None:
    check_sqlite_version()
    path = home.spool_db(shard)
    finish_repair(path, home.corrupt_dir)
    if lost := destroyed_frames(path):
        raise StoreError(
            f"{path}-wal is damaged: {lost} of its frames cannot be believed, and SQLite would forget"
            " the mail behind. Nothing was changed: stop the box, run `pillarbox spool repair`, start it again"
        )
    SqliteBackend(path).make()
