"""Late: what the outboxes told after their spools were copied, so that the copy of the log leaves no gap.

    the spools  ->  the outboxes once more  ->  the log

An event leaves an outbox only when it is in the log. So whatever the box had done when the outboxes were
read again is known: from the spool's copy, from here, or from the log. Without this a delivery would be
made twice that was too late for the spool's copy, and not yet in the log when that was copied.

In the backup it is spool/late-N.db, a store of shard N with nothing but events; a restore moves them into
the shard's own.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.database import sqlite_connect, translated
from mta.spool.backend import schema
from mta.spool.reading import SpoolReader, SqliteReader
from mta.spool.salvage.scratch import Scratch, discard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mta.spool.reading import Row


def name_of(shard: int) -> str:
    """Its file, beside the spool's."""
    return f"late-{shard}.db"


def newest_event(spool: Path) -> int:
    """The number of the last event that a copied spool has; 0 for none."""
    with translated(), closing(sqlite_connect(spool, readonly=True)) as connection:
        found: int | None = connection.execute("SELECT max(seq) FROM outbox").fetchone()[0]
    return found or 0


def copy_events(spool: Path, shard: int, after: int, target: Path) -> None:
    """Events of a live spool behind a number, as a store of their own."""
    scratch = Scratch.new(target, shard)
    try:
        _add(scratch, spool, after)
        scratch.close("backup", clock.now_ms())
    except BaseException:
        scratch.abandon()
        raise


def move_events(scratch: Scratch, folder: Path) -> None:
    """Into the shard's own store, which is not judged yet."""
    path = folder / name_of(scratch.shard)
    if path.exists():  # a backup of an older program has none
        _add(scratch, path, 0)
        discard(path)


def _add(scratch: Scratch, source: Path, after: int) -> None:
    table = schema().tables["outbox"]
    for events in _events(source, scratch.shard):
        with scratch.transaction():
            for row in events:
                if row[1] > after:
                    scratch.add(table, row)
    scratch.complete()


def _events(path: Path, shard: int) -> Iterator[list[Row]]:
    reader = SpoolReader(SqliteReader(path), shard)
    try:
        yield from reader.events()
    finally:
        reader.close()
