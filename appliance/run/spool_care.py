"""Spool care: checks the shards of a box, and repairs them while it is stopped.

A check runs beside the box too; then it looks at the messages, and only with the box stopped at every
page of the files. PostgreSQL looks after its own pages: there only the messages are looked at.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.run.one_box import stopped
from appliance.run.spools import lock_file, shards_with_a_file
from appliance.run.witness import LogWitness
from mta.spool.check import Checked, Flaw, check
from mta.spool.reading import PostgresReader, SpoolReader, SqliteReader, shards_of_database
from mta.spool.salvage.rebuild import Rebuild, look
from mta.spool.shard import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from mta.spool.salvage.gather import Damage
    from mta.spool.salvage.judge import Progress
    from mta.spool.salvage.rebuild import Report


@dataclass(slots=True)
class ShardCheck:
    """What a check found in one shard."""

    shard: int
    damage: Damage | None = None  # None: its pages were not looked at
    checked: Checked = field(default_factory=Checked)
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, as far as was looked."""
        return not self.flaws and (self.damage is None or self.damage.is_none)


def shards_of(home: Home, settings: Settings, wanted: int | None) -> list[int]:
    """The shards that there are, or the one that is wanted."""
    url = settings.database.url
    found = shards_of_database(PostgresReader(url)) if url else shards_with_a_file(home)
    if wanted is None:
        return found
    if wanted not in found:
        raise NotFoundError(f"there is no shard {wanted}: there is {', '.join(map(str, found))}")
    return [wanted]


def check_shard(home: Home, settings: Settings, shard: int, progress: Progress) -> ShardCheck:
    """Look at one shard; nothing is changed."""
    found = ShardCheck(shard)
    if settings.database.url:
        _check_messages(SpoolReader(PostgresReader(settings.database.url), shard), found)
        return found
    try:
        with held(home, shard):
            found.damage = look(home.spool_db(shard), shard, progress)
            if found.damage.is_none:
                _check_messages(SpoolReader(SqliteReader(home.spool_db(shard)), shard), found)
    except ConflictError:
        _check_messages(SpoolReader(SqliteReader(home.spool_db(shard)), shard), found)
    return found


def _check_messages(reader: SpoolReader, found: ShardCheck) -> None:
    try:
        found.flaws += check(reader, found.checked)
    finally:
        reader.close()


def repair_shard(home: Home, settings: Settings, shard: int, progress: Progress) -> Report:
    """Repair one shard. Raises ConflictError while the box runs."""
    if settings.database.url:
        raise UsageError(
            "the spool is in PostgreSQL, which looks after its own pages: when it says that they are"
            " damaged, restore its backup; `pillarbox spool check` tells what is wrong with messages"
        )
    witness = LogWitness(home.log_dir)
    try:
        with stopped(home), held(home, shard):
            return Rebuild(home.spool_db(shard), shard, witness, home.corrupt_dir).run(progress)
    finally:
        witness.close()


@contextmanager
def held(home: Home, shard: int) -> Iterator[None]:
    """Own the shard for a while. Raises ConflictError when a process of the box does."""
    descriptor = take_lock(lock_file(home, shard))
    try:
        yield
    finally:
        os.close(descriptor)
