"""Spools for tests: migrated stores on both databases, opened the way their owner opens them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mta.message import Admitted
from mta.spool.backend import Backend, SqliteBackend
from mta.spool.batch import Batch, Settlement
from mta.spool.shard import Shard
from mta.spool.store import SpoolStore
from tests.support.recipients import NOW
from tests.support.way import backend_at

MINUTE = 60_000


@dataclass
class Spool:
    """One shard's store with one batch at a time, as the committing thread drives it."""

    backend: Backend
    number: int = 0
    now: int = NOW
    keeps_content: bool = False
    store: SpoolStore = field(init=False)
    last_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.store = SpoolStore(self.backend, self.number, keeps_content=self.keeps_content)
        self.last_id = self.store.open("tests", self.now)

    def write(
        self,
        *messages: Admitted,
        settle: tuple[Settlement, ...] = (),
        then: Callable[[SpoolStore, Batch], Any] = lambda store, batch: None,
    ) -> Any:
        """One batch; returns what `then` gave, or the settlements that were lost."""
        batch = self.store.batch(self.now)
        for admitted in messages:
            batch.add_message(admitted)
        batch.settlements.extend(settle)
        with self.store.transaction():
            lost = self.store.write(batch)
            found = then(self.store, batch)
            self.store.write_events(batch)
        self.store.written(batch)
        return lost if settle else found

    def count(self, table: str) -> int:
        """Rows of a table."""
        sql = f"SELECT count(*) FROM {table}"
        return int(self.store._connection.execute(sql).fetchone()[0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """A question in SQL that both databases understand."""
        return [tuple(row) for row in self.store._connection.execute(sql).fetchall()]

    def statuses(self, message_id: int) -> list[str]:
        return [str(r.status) for r in self.store.recipients(message_id)]

    def events(self, after: int = 0) -> list[tuple[int, str]]:
        return [(row.seq, row.kind) for row in self.store.events(after, 10_000)]

    def reopen(self) -> None:
        """A restart of the owner."""
        self.store.close()
        self.__post_init__()


class Fatal:
    """Counts calls of on_fatal."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    def __call__(self) -> None:
        self.called.set()


class Commits:
    """Sees every commit, in the committing thread."""

    def __init__(self) -> None:
        self.jobs: list[int] = []

    def committed(self, jobs: int, seconds: float) -> None:
        self.jobs.append(jobs)


async def open_shard(location: Path | str, number: int = 0, **options: Any) -> Shard:
    """A shard with its committing thread."""
    backend = await asyncio.to_thread(backend_at, location, number)
    options.setdefault("on_fatal", Fatal())
    return await Shard.open(backend, number, **options)


def copy_of(made: Path, folder: Path) -> SqliteBackend:
    """A fresh spool file from one that was migrated once."""
    return SqliteBackend(Path(shutil.copy(made, folder / "spool-0.db")))
