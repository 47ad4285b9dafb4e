"""Postgres: the log's days as partitions of one database's tables, ranges of message ids.

One connection each for the writer and for a reader, opened when first used and again after it was
lost. `log_progress` and `log_rejected` are small and whole; their rows name the day and go with it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from appliance.core.database import open_sync_engine
from appliance.core.errors import StoreError
from appliance.core.migrate import upgrade
from appliance.history.days import bounds, name, parse
from appliance.history.tables import DAILY
from mta.spool.backend import PostgresBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PREFIX: Final = "log_recipient_"
_STANDING: Final = (
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
    " WHERE inhparent = to_regclass('log_recipient')"
)


class _Database:
    """A connection that is opened when needed and dropped when it failed."""

    def __init__(self, url: str) -> None:
        self._backend = PostgresBackend(url)
        self.dialect = self._backend.dialect
        self._connection: Any = None

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        try:
            with self._backend.errors():
                if self._connection is None:
                    self._connection = self._backend.connect()
                with self._connection.cursor() as cursor:
                    yield cursor
        except StoreError:
            self.close()
            raise

    def days(self) -> list[int]:
        with self.cursor() as cursor:
            names = [row[0] for row in cursor.execute(_STANDING).fetchall()]
        found = (parse(table.removeprefix(_PREFIX).replace("_", "-")) for table in names)
        return sorted(day for day in found if day is not None)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class DayTables:
    """The writer's side."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._database = _Database(url)
        self.dialect = self._database.dialect
        self._standing: set[int] = set()

    def open(self) -> list[int]:
        """Migrate the tables with all their partitions."""
        engine = open_sync_engine(self._url)
        try:
            upgrade("log", engine)
        finally:
            engine.dispose()
        return self.days()

    @contextmanager
    def transaction(self, day: int) -> Iterator[Any]:
        """One transaction; PostgreSQL flushes at its commit."""
        self.prepare(day)
        with self._transaction() as cursor:
            yield cursor

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._database.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if not cursor.connection.closed:
                    cursor.connection.rollback()
                raise

    def prepare(self, day: int) -> None:
        """Make the day's partition of each table unless it stands."""
        if day in self._standing:
            return
        first, after = bounds(day)
        with self._transaction() as cursor:
            for table in DAILY:
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {_partition(table.name, day)}"
                    f" PARTITION OF {table.name} FOR VALUES FROM ({first}) TO ({after})"
                )
        self._standing.add(day)

    def days(self) -> list[int]:
        """From the catalogue."""
        found = self._database.days()
        self._standing = set(found)
        return found

    def set_aside(self, _day: int) -> bool:
        """PostgreSQL looks after its own pages."""
        return False

    def drop(self, day: int) -> None:
        """Drop the day's partitions and what names the day."""
        self._standing.discard(day)
        with self._transaction() as cursor:
            for table in DAILY:
                cursor.execute(f"DROP TABLE IF EXISTS {_partition(table.name, day)}")
            cursor.execute("DELETE FROM log_progress WHERE day = %s", (day,))
            cursor.execute("DELETE FROM log_rejected WHERE day = %s", (day,))

    def close(self) -> None:
        """Hang up."""
        self._database.close()


def _partition(table: str, day: int) -> str:
    return f"{table}_{name(day).replace('-', '_')}"


class DayTablesReader:
    """The readers' side."""

    def __init__(self, url: str) -> None:
        self._database = _Database(url)
        self.dialect = self._database.dialect
        self._turn = threading.Lock()

    def days(self) -> list[int]:
        """From the catalogue, newest first."""
        with self._turn:
            return self._database.days()[::-1]

    def rows(self, day: int, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The statement bounds the message ids, which leaves the day's partition to look at."""
        del day
        with self._turn, self._database.cursor() as cursor:
            return list(cursor.execute(sql, values).fetchall())

    def close(self) -> None:
        """Hang up."""
        with self._turn:
            self._database.close()
