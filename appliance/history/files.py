"""Files: the log's days in SQLite, log/YYYY-MM-DD.db, each dropped by deleting it.

The worker writes through one connection a file (WAL, synchronous=FULL: the spool forgets an event
once it is here, so the commit must be on disk). A day appears whole: it is made under another name
and renamed. Readers open read-only and never checkpoint. Connections are kept for the days used
last, and their number is bounded.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from appliance.core.database import open_sync_engine, sqlite_connect, translated
from appliance.core.errors import StoreDamagedError, StoreError
from appliance.core.migrate import head, upgrade
from appliance.history.days import name, parse
from appliance.history.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy.engine import Dialect

_WRITERS: Final = 8  # late news reach back some days
_READERS: Final = 128  # three descriptors each; a search for what does not exist looks everywhere
# 8 MB hold the inner pages of a day of some million recipients; four times as much saves nothing that
# could be measured. A checkpoint every 8,000 pages instead of every 1,000 writes index pages once for
# several batches: a tenth less CPU an event with pages of 4 KB, where twice or four times as many were no better.
_PRAGMAS: Final = ("cache_size=-8192", "wal_autocheckpoint=8000")
_PAGE_SIZE: Final = 8192
"""Of a new day: nine events instead of four fill a page. It saves some hundredths of the CPU, 16 KB no more."""

DAMAGED: Final = ".damaged"
"""How the names of days end that were set aside."""

_TABLES: Final = "SELECT count(*) FROM sqlite_master WHERE name = 'log_version'"
_REVISION: Final = "SELECT version_num FROM log_version"
_log = logging.getLogger(__name__)


class _Compiler(SQLiteCompiler):
    """SQLite knows INDEXED BY; SQLAlchemy's compiler for it leaves hints out."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


def sqlite_dialect() -> Dialect:
    """The dialect with hints."""
    dialect: Dialect = sqlite.dialect(paramstyle="qmark")
    dialect.statement_compiler = _Compiler
    return dialect


@cache
def _newest_revision() -> str:
    return head("log")


def days_in(folder: Path) -> list[int]:
    """The days that have a file, oldest first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    found = (parse(file.removesuffix(".db")) for file in names if file.endswith(".db"))
    return sorted(day for day in found if day is not None)


def damaged_in(folder: Path) -> list[str]:
    """The names of days that were damaged and set aside."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(file for file in names if file.endswith(DAMAGED))


class _Connections:
    """Open connections by day; beyond `limit` the one unused for longest is closed."""

    def __init__(self, limit: int, connect: Callable[[int], Any]) -> None:
        self._limit, self._connect = limit, connect
        self._open: OrderedDict[int, Any] = OrderedDict()

    def get(self, day: int) -> Any:
        connection = self._open.get(day)
        if connection is None:
            connection = self._open[day] = self._connect(day)
            if len(self._open) > self._limit:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(day)
        return connection

    def drop(self, day: int) -> None:
        connection = self._open.pop(day, None)
        if connection is not None:
            connection.close()

    def keep(self, days: Sequence[int]) -> None:
        for day in self._open.keys() - set(days):
            self.drop(day)

    def close(self) -> None:
        self.keep(())


class DayFiles:
    """The writer's side."""

    def __init__(self, folder: Path) -> None:
        self.dialect = sqlite_dialect()
        self._folder = folder
        self._connections = _Connections(_WRITERS, self._connect)

    def open(self) -> list[int]:
        """Upgrade the files that an older program wrote, first those that people look at most."""
        for day in reversed(self.days()):
            try:
                with translated():
                    self._upgrade(day)
            except StoreDamagedError as error:
                about = f"the event log of {name(day)} is damaged and was set aside"
                _log.error("%s: %s", about, error)
                self.set_aside(day)
        return self.days()

    def _upgrade(self, day: int) -> None:
        connection = self._connections.get(day)
        if not connection.execute(_TABLES).fetchone()[
            0
        ]:  # a file that was cut is an empty database
            raise StoreDamagedError(f"{self._path(day)} holds no log")
        found = connection.execute(_REVISION).fetchone()
        if found is not None and found[0] == _newest_revision():
            return
        self._connections.drop(day)
        _log.info("the log of %s is brought to revision %s", name(day), _newest_revision())
        _migrate(self._path(day))

    @contextmanager
    def transaction(self, day: int) -> Iterator[Any]:
        """One transaction, one flush."""
        with translated():
            connection = self._connections.get(day)
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled back by itself
                    connection.rollback()
                raise
            finally:
                cursor.close()

    def prepare(self, day: int) -> None:
        """Make the file unless it stands."""
        path = self._path(day)
        if path.exists():
            return
        making = path.with_suffix(".new")
        for leftover in _files_of(making):
            leftover.unlink(missing_ok=True)
        with translated():
            sqlite_connect(making, page_size=_PAGE_SIZE).close()
            _migrate(making)
        making.rename(path)
        _flush_folder(self._folder)

    def days(self) -> list[int]:
        """From the names of the files."""
        return days_in(self._folder)

    def set_aside(self, day: int) -> bool:
        """Rename it to 2026-11-23.db.1.damaged, which SQLite's tools can open; its end is as for all days."""
        with suppress(StoreError), translated():
            self._connections.drop(day)
        path = self._path(day)
        number = 1 + len(list(self._folder.glob(f"{path.name}.*{DAMAGED}")))
        aside = path.with_name(f"{path.name}.{number}{DAMAGED}")
        for old, new in zip(_files_of(path), _files_of(aside), strict=True):
            with suppress(FileNotFoundError):
                old.rename(new)
        _flush_folder(self._folder)
        return True

    def drop(self, day: int) -> None:
        """Delete the file. A reader that has it open keeps what it sees until it closes."""
        self._connections.drop(day)
        for file in (
            *_files_of(self._path(day)),
            *self._folder.glob(f"{name(day)}.db.*{DAMAGED}*"),
        ):
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close every file; SQLite checkpoints what is left in the WAL."""
        with translated():
            self._connections.close()

    def _connect(self, day: int) -> Any:
        self.prepare(day)
        connection = sqlite_connect(self._path(day))
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def _path(self, day: int) -> Path:
        return self._folder / f"{name(day)}.db"


def _migrate(path: Path) -> None:
    engine = open_sync_engine(path)
    try:
        upgrade("log", engine, tables=metadata)
    finally:
        engine.dispose()


def _files_of(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DayFilesReader:
    """The readers' side."""

    def __init__(self, folder: Path) -> None:
        self.dialect = sqlite_dialect()
        self._folder = folder
        self._turn = threading.Lock()
        self._connections = _Connections(_READERS, self._connect)
        self._damaged: list[str] = []  # a day that was set aside may stand again, as another file

    def days(self) -> list[int]:
        """From the names of the files, newest first; connections to files that are gone are closed."""
        found, damaged = days_in(self._folder), damaged_in(self._folder)
        with self._turn, translated():
            self._connections.keep(found if damaged == self._damaged else ())
            self._damaged = damaged
        return found[::-1]

    def rows(self, day: int, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Read in one statement: no transaction outlasts it, so the WAL can be reused."""
        try:
            with self._turn, translated():
                return list(self._connections.get(day).execute(sql, values).fetchall())
        except StoreDamagedError as error:
            path = self._path(day)
            raise StoreDamagedError(
                f"{path} is damaged ({error}): stop the box, rename the file to {path.name}.1{DAMAGED}, and"
                " start the box again; the other days can be read then"
            ) from error
        except StoreError:
            if self._path(day).exists():
                raise
            return []

    def close(self) -> None:
        """Close every file."""
        with self._turn, translated():
            self._connections.close()

    def _connect(self, day: int) -> Any:
        path = self._path(day)
        connection = sqlite_connect(path, readonly=True)
        (revision,) = connection.execute(_REVISION).fetchone()
        if revision != _newest_revision():
            connection.close()
            raise StoreError(
                f"{path} has revision {revision}, this program reads {_newest_revision()}:"
                " the running worker brings it up to date, or `pillarbox migrate`"
            )
        return connection

    def _path(self, day: int) -> Path:
        return self._folder / f"{name(day)}.db"
