"""Spools: which shards exist, who owns them, and how one is opened and brought up to date."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from appliance.core.database import check_sqlite_version, open_sync_engine
from appliance.core.migrate import upgrade
from mta.spool.backend import Backend, PostgresBackend, SqliteBackend, schema
from mta.spool.salvage.corrupt import finish_repair

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
    names = (_FILE.fullmatch(path.name) for path in home.spool_dir.glob("spool-*.db"))
    return sorted(int(match.group(1)) for match in names if match)


def lock_file(home: Home, shard: int) -> Path:
    """What the owner of a shard holds."""
    return home.spool_dir / f"spool-{shard}.lock"


async def open_backend(home: Home, settings: Settings, shard: int) -> Backend:
    """The database of a shard, migrated."""
    return await asyncio.to_thread(_open_backend, home, settings, shard)


def _open_backend(home: Home, settings: Settings, shard: int) -> Backend:
    url = settings.database.url
    if url:
        engine = open_sync_engine(url)
        backend: Backend = PostgresBackend(url)
    else:
        check_sqlite_version()
        finish_repair(home.spool_db(shard), home.corrupt_dir)
        backend = SqliteBackend(home.spool_db(shard))
        backend.connect().close()  # the first connection fixes the page size
        engine = open_sync_engine(home.spool_db(shard))
    try:
        upgrade("spool", engine, tables=schema())
    finally:
        engine.dispose()
    return backend
