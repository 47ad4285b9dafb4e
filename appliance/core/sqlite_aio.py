"""SQLite for the event loop: aiosqlite over pysqlite3, seen by SQLAlchemy, with few turns of its thread.

Each turn wakes two threads, which costs more than a short statement does. SQLAlchemy's own adapter takes
four for a statement (open, execute, fetch, close) and three for a BEGIN; here each takes one. A transaction
that only reads begins in the turn of its first statement, and nobody waits for its end: nothing can refuse
them, and the thread does things in the order in which it was told. Such a transaction cannot write.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL as _STOP
from pysqlite3 import dbapi2
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util.concurrency import await_only

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

_BEGIN_READING: Final = ("BEGIN", "PRAGMA query_only=ON")

# aiosqlite and SQLAlchemy take exception classes and version from the standard library's sqlite3;
# this is the same set of names with pysqlite3 behind them, so that its errors are recognised.
_DRIVER: Final = SimpleNamespace(
    Connection=aiosqlite.Connection,
    __version__=getattr(aiosqlite, "__version__", ""),
    **{
        name: getattr(dbapi2, name)
        for name in (
            "DatabaseError",
            "Error",
            "IntegrityError",
            "NotSupportedError",
            "OperationalError",
            "ProgrammingError",
            "sqlite_version",
            "sqlite_version_info",
        )
    },
)


class FileConnection(aiosqlite.Connection):
    """A connection whose thread never keeps the process alive."""

    def __init__(self, connector: Callable[[], Any], name: str) -> None:
        """`connector` opens the file, in autocommit mode; `name`: of the thread."""
        super().__init__(connector, iter_chunk_size=256)
        self._thread.daemon = True
        self._thread.name = name
        self._first: Sequence[str] = ()  # what the next turn begins with

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread. Where nothing is open nobody waits for that, and the loop may be gone by then."""
        if self._connection is not None:
            return super().stop()
        self._running = False
        self._tx.put_nowait((None, lambda: _STOP))
        return None

    def new_cursor(self) -> Any:
        """DB-API's cursor: an object in memory, for which the file is not asked."""
        return self._conn.cursor()

    async def ask(self, cursor: Any, statement: str, parameters: Sequence[Any]) -> Sequence[Any]:
        """Carry out a statement and bring all its rows."""
        return cast("Sequence[Any]", await self._execute(_rows, cursor, statement, parameters))

    async def ask_many(self, cursor: Any, statement: str, each: Iterable[Sequence[Any]]) -> None:
        """Carry out a statement with many sets of parameters."""
        await self._execute(cursor.executemany, statement, each)

    def begin_reading(self) -> None:
        """A transaction that takes no lock before it reads, and may not write."""
        self._first = _BEGIN_READING

    def end_reading(self) -> None:
        """Its end, also where nothing was asked."""
        if self._connection is not None and not self._first:
            self._tx.put_nowait((None, partial(_end_reading, self._connection)))
        self._first = ()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Every turn of the thread goes this way."""
        first, self._first = self._first, ()
        work = partial(_after, self._conn, first, fn) if first else fn
        return await super()._execute(work, *args, **named)  # type: ignore[no-untyped-call] # aiosqlite says no types


def _after(connection: Any, first: Sequence[str], fn: Callable[..., Any], *args: Any) -> Any:
    _carry_out(connection, first)
    return fn(*args)


def _carry_out(connection: Any, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _end_reading(connection: Any) -> None:
    """SQLite may have ended it: a read that meets an I/O error (no descriptor, no room) rolls back by itself.

    A connection that went on refusing to write would fail everybody whom the pool gives it to, for ever.
    """
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    finally:
        connection.execute("PRAGMA query_only=OFF")


def _rows(cursor: Any, statement: str, parameters: Sequence[Any]) -> Sequence[Any]:
    cursor.execute(statement, parameters)
    return cast("Sequence[Any]", cursor.fetchall()) if cursor.description else ()


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """A statement by one turn of the thread."""

    __slots__ = ()
    _awaitable_cursor_close = False  # has nothing to wait for
    _connection: Any  # FileConnection

    def _make_new_cursor(self, connection: Any) -> Any:
        return connection.new_cursor()

    def _aenter_cursor(self, cursor: Any) -> Any:
        return cursor

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        self._rows = deque(await self._connection.ask(self._cursor, operation, parameters or ()))

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._connection.ask_many(self._cursor, operation, seq_of_parameters)

    def close(self) -> None:
        self._rows.clear()


class _FileConnection(AsyncAdapt_aiosqlite_connection):
    """What SQLAlchemy sees of a connection."""

    __slots__ = ("_at_rest", "_reads")
    _cursor_cls = _Cursor
    _connection: Any  # FileConnection

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._reads = False
        self._at_rest = True  # nothing was done since the last transaction ended

    def cursor(self, *args: Any, **named: Any) -> Any:
        self._at_rest = False
        return super().cursor(*args, **named)

    def begin_reading(self) -> None:
        """See FileConnection."""
        self._reads, self._at_rest = True, False
        self._connection.begin_reading()

    def commit(self) -> None:
        self._end(super().commit)

    def rollback(self) -> None:
        """Also asked for by the pool, for each connection that comes back."""
        if not self._at_rest:
            self._end(super().rollback)

    def _end(self, how: Callable[[], None]) -> None:
        if self._reads:
            self._connection.end_reading()
        else:
            how()
        self._reads, self._at_rest = False, True


class FileDriver(AsyncAdapt_aiosqlite_dbapi):
    """The module that SQLAlchemy takes for aiosqlite."""

    def __init__(self) -> None:
        super().__init__(_DRIVER, dbapi2)  # type: ignore[arg-type] # modules by shape

    def connect(self, *_: Any, async_creator_fn: Callable[[], Any], **__: Any) -> _FileConnection:
        return _FileConnection(self, await_only(async_creator_fn()))


def begin_reading(connection: object) -> bool:
    """Begin a reading transaction; False if the connection is no file's for an event loop."""
    if not isinstance(connection, _FileConnection):
        return False
    connection.begin_reading()
    return True
