"""Copy: a shard's store put into a new file while its owner goes on, message by message.

In it is every message that was there when the copy began, each as it stood at one moment since. What was
accepted meanwhile is taken along in rounds, the last of which begins shortly before the end of the one
before, because an id may be younger than its commit. The outbox comes after the messages: when it tells
of an end, that is newer than the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock, ids
from mta.spool import tables as t
from mta.spool.salvage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Table

    from mta.spool.reading import Row, SpoolReader, Whole

ROUNDS: Final = 3
_OVERLAP: Final = 10 * clock.SECOND


def copy(
    reader: SpoolReader, target: Path, now: int, progress: Callable[[str, int, int], None]
) -> int:
    """Make `target`, a store of its own; returns how many recipients wait in it."""
    scratch = Scratch.new(target, reader.shard)
    try:
        _messages(reader, scratch, progress)
        for keys in reader.idempotency_keys():
            _add(scratch, t.idempotency, keys)
        for events in reader.events():
            _add(scratch, t.outbox, events)
        row = reader.shard_row()
        if row is not None:
            scratch.add(t.shard, row)
        scratch.complete()
        waiting = scratch.count_waiting()
        scratch.close("backup", now)
    except BaseException:
        scratch.abandon()
        raise
    return waiting


def _messages(
    reader: SpoolReader, scratch: Scratch, progress: Callable[[str, int, int], None]
) -> None:
    after, count = -1, 0
    for _ in range(ROUNDS):
        upto = reader.newest()
        for page in reader.messages(after, upto):
            with scratch.transaction():
                for whole in page:
                    _add_message(whole, scratch)
            count += len(page)
            progress("copying messages", count, 0)
        after = ids.first_at(ids.time_of(upto) - _OVERLAP) - 1


def _add_message(whole: Whole, scratch: Scratch) -> None:
    if whole.message is not None:
        scratch.put(t.message, whole.message)
    for row in whole.recipients:
        scratch.put(t.recipient, row)
    if whole.content is not None:
        scratch.put(t.content, whole.content)


def _add(scratch: Scratch, table: Table, rows: list[Row]) -> None:
    with scratch.transaction():
        for row in rows:
            scratch.add(table, row)
