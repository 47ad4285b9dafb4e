"""Database: opens the box's stores soundly, and is the only place of the rooms that knows a dialect.

    SQLite      through pysqlite3, which is built with a current SQLite: WAL, synchronous=FULL,
                foreign keys, a writer takes the lock when it begins (BEGIN IMMEDIATE)
    PostgreSQL  through psycopg 3, READ COMMITTED; every decision is one conditional statement

Promises: what `transaction()` committed is on disk; a transaction that fails leaves nothing behind;
drivers' errors leave here as StoreError or StoreFullError, in words. IntegrityError alone passes
through, because only the room that wrote the row can say what it collided with.
Never opens a file with the standard library's sqlite3: on Debian 12 that is 3.40.1, and SQLite
3.7.0-3.51.2 can corrupt a WAL when two connections write and checkpoint at the same instant. Nor may
two copies of the library have one file open: closing one drops the other's POSIX locks.

An engine belongs to the event loop and the process that opened it: open it after the fork.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

from pysqlite3 import dbapi2
from sqlalchemy import URL, BigInteger, Integer, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.core.errors import StoreDamagedError, StoreError, StoreFullError
from appliance.core.sqlite_aio import FileConnection, FileDriver, begin_reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    import aiosqlite
    from sqlalchemy import Connection, Engine, RowMapping, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Location = Path | str
"""A file for SQLite, or postgresql://..."""

ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""Type of a primary key that the database counts: SQLite does so only for INTEGER."""

SOUND_SQLITE: Final = (3, 51, 3)
PAGE: Final = 100  # rows; what is made of them keeps the event loop for a few milliseconds
_BUSY_SECONDS: Final = 5.0
_POOL_SIZE: Final = 4
_FILES_OPEN: Final = 12  # a page of the console asks as many rooms at once; opening takes 3 ms
_PRAGMAS: Final = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "trusted_schema=OFF")
_WRITES: Final = {"pillarbox_writes": True}
_FULL_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE_FULL: Final = 13
_SQLITE_BUSY: Final = frozenset({5, 6})
_SQLITE_DAMAGED: Final = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB
_POSTGRES_FULL: Final = "53100"
_turns: WeakKeyDictionary[Engine, _Line] = WeakKeyDictionary()


def check_sqlite_version(version: tuple[int, ...] = dbapi2.sqlite_version_info) -> None:
    """Raise StoreError when this SQLite can corrupt a WAL (MTA-9)."""
    if version < SOUND_SQLITE:
        raise StoreError(
            f"SQLite {'.'.join(map(str, version))} can corrupt its write-ahead log (fixed in"
            f" {'.'.join(map(str, SOUND_SQLITE))}): install a newer pysqlite3, which brings its own"
        )


def sqlite_connect(path: Path | str, *, readonly: bool = False, page_size: int = 0) -> Any:
    """A raw pysqlite3 connection in autocommit mode, with the pragmas of a durable store.

    A new file is readable by its owner only; the WAL inherits that. `page_size` is a new file's, for
    ever (0: SQLite's own choice). Errors are the driver's own: wrap in `translated()`.
    """
    if readonly:
        source = f"{Path(path).absolute().as_uri()}?mode=ro"
    else:
        Path(path).touch(mode=0o600)
        source = str(path)
    connection = dbapi2.connect(
        source, uri=readonly, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
    )
    pragmas = _PRAGMAS if readonly else ("journal_mode=WAL", *_PRAGMAS)
    for pragma in (f"page_size={page_size}", *pragmas) if page_size else pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def open_engine(location: Location) -> AsyncEngine:
    """An async engine for a SQLite file or a PostgreSQL URL. Dispose of it when done."""
    if not isinstance(location, Path):
        return create_async_engine(_postgres(location), pool_size=_POOL_SIZE, pool_pre_ping=True)
    path = location

    async def connect() -> aiosqlite.Connection:
        return await FileConnection(partial(sqlite_connect, path), f"sqlite {path.name}")

    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        async_creator=connect,
        module=FileDriver(),
        pool_size=_FILES_OPEN,
    )
    _begin_in_words(engine.sync_engine)
    return engine


def file_of(engine: AsyncEngine) -> Path | None:
    """The file of a SQLite store; None of any other."""
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


def open_sync_engine(location: Location, *, readonly: bool = False) -> Engine:
    """The same for code that runs without an event loop (migrations, the command line).

    `readonly`: a file of SQLite is left exactly as it is. Else its last connection brings the log into the file.
    """
    if not isinstance(location, Path):
        return create_engine(_postgres(location), pool_size=1)
    connect = partial(sqlite_connect, location, readonly=readonly)
    engine = create_engine("sqlite:///file", creator=connect, module=dbapi2, pool_size=1)
    _begin_in_words(engine)
    return engine


def _postgres(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise StoreError(
            f"{scheme!r} is no database this box knows: write postgresql://user@host/name"
        )
    return f"postgresql+psycopg://{rest}"


def _begin_in_words(engine: Engine) -> None:
    """The driver is in autocommit mode; a writer says BEGIN IMMEDIATE.

    With a plain BEGIN two writers that have both read would fail at once with SQLITE_BUSY,
    whatever the busy timeout.
    """

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("pillarbox_writes", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif not begin_reading(connection.connection.dbapi_connection):
            connection.exec_driver_sql("BEGIN")

    event.listen(engine, "begin", begin)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A writing transaction: committed at the end of the block, rolled back by any exception.

    Those of one process wait in line for a SQLite file. Its own way of waiting is to try again after
    longer and longer sleeps: of twenty at once, some tried in vain for all of five seconds.
    """
    with translated():
        async with _turn(engine), engine.connect() as connection:
            await connection.execution_options(**_WRITES)
            async with connection.begin():
                yield connection


def _turn(engine: AsyncEngine) -> AbstractAsyncContextManager[None]:
    """The turn of a writer; PostgreSQL needs none."""
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _turns.setdefault(engine.sync_engine, _Line())


class _Line(asyncio.Lock):
    """A lock that tells who would wait for itself."""

    _holder: asyncio.Task[Any] | None = None

    async def acquire(self) -> Literal[True]:
        task = asyncio.current_task()
        if task is self._holder:
            raise RuntimeError("a writing transaction inside another of the same file never begins")
        await super().acquire()
        self._holder = task
        return True

    def release(self) -> None:
        self._holder = None
        super().release()


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A reading transaction, in which SQLite refuses to write.

    Keep it short: a long read keeps SQLite's WAL from being reused.
    """
    with translated():
        async with engine.connect() as connection, connection.begin():
            yield connection


async def in_pages(
    connection: AsyncConnection, statement: Select[Any], size: int = PAGE
) -> AsyncIterator[Sequence[RowMapping]]:
    """The rows of one statement, so many at a time: between pages others have their turn of the loop."""
    async with connection.stream(statement) as result:
        async for page in result.mappings().partitions(size):
            yield page


@contextmanager
def sync_transaction(engine: Engine) -> Iterator[Connection]:
    """As `transaction`, for a sync engine."""
    with translated(), engine.connect() as connection:
        connection.execution_options(**_WRITES)
        with connection.begin():
            yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' errors into ours; IntegrityError passes."""
    try:
        yield
    except (IntegrityError, dbapi2.IntegrityError):
        raise
    except PoolTimeoutError as error:
        raise StoreError("the database is too busy: no connection came free in time") from error
    except (DBAPIError, dbapi2.Error) as error:
        raise _in_words(error) from error
    except UnicodeDecodeError as error:  # SQLite quotes octets of a damaged file that are no text
        raise StoreDamagedError(f"the database is damaged: {error}") from error


def _in_words(error: Exception) -> StoreError:
    cause = _driver_error(error)
    if is_disk_full(cause):
        return StoreFullError(
            f"no space left for the database ({cause}): free some, work goes on by itself"
        )
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_BUSY:
        return StoreError("the database is locked by another process for too long: try again")
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DAMAGED:
        return StoreDamagedError(f"the database is damaged: {cause}")
    return StoreError(f"the database cannot do its work: {cause}")


def is_disk_full(error: BaseException) -> bool:
    """Whether a store failed for want of space: SQLite, PostgreSQL or the file system itself."""
    cause = _driver_error(error)
    return (
        getattr(cause, "sqlite_errorcode", 0) & 0xFF == _SQLITE_FULL
        or getattr(cause, "sqlstate", None) == _POSTGRES_FULL
        or (isinstance(cause, OSError) and cause.errno in _FULL_CODES)
    )


def _driver_error(error: BaseException) -> BaseException:
    original = error.orig if isinstance(error, DBAPIError) else None
    return error if original is None else original


def upsert(connection: AsyncConnection | Connection, table: Table) -> sqlite.Insert:
    """An INSERT that takes ON CONFLICT; both dialects have it, each under its own class."""
    if connection.dialect.name == "postgresql":
        # The same methods with the same parameters; their common base has no ON CONFLICT.
        insert: Any = postgresql.insert(table)
        return insert  # type: ignore[no-any-return] # see above
    return sqlite.insert(table)


def lock_for_migration(connection: Connection, kind: str) -> None:
    """Let one process at a time migrate; SQLite's writer has the file locked already."""
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(hashtext(:key))")
        connection.execute(statement, {"key": f"pillarbox migrate {kind}"})
