"""Backend: the database under a spool, and the only place in mta that knows a dialect.

The committing thread owns one raw DB-API connection. Statements are written once with SQLAlchemy
Core (`statements.py`) and compiled here to text with positional parameters: on the hot path a
compiled statement through the driver costs 2-4 us a row, through SQLAlchemy's execution 10-20.
Driver errors leave here as StoreError or one of its kinds, and so does what a damaged row makes Python raise.
"""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy.dialects.postgresql import psycopg as postgres_dialect
from sqlalchemy.dialects.sqlite import pysqlite as sqlite_dialect

from appliance.core.errors import StoreBusyError, StoreError, StoreFullError, StoreLostError
from mta.spool.errors import DamagedError, UnstorableError
from mta.spool.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import MetaData
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql import ClauseElement

PAGE_SIZE = 16384
"""Measured: 100 KB messages commit 1.3-1.7 x faster than with 4 KB pages, 4 KB ones 5-10 % slower."""

CHECKPOINT_PAGES = 256
"""4 MB of WAL; then the committing thread writes it into the file, once it has answered. With 16 MB a single
message in a hundred waited 30 ms for it; 4 MB costs nothing at 4 KB and a fifth of the store's rate at 100 KB."""

BUSY_SECONDS: Final = 10
"""How long a commit waits for another program that holds the write lock; there should be none."""

_LOG_KEPT: Final = 64 << 20
"""Octets of a log that a long reader has let grow, which it keeps; the rest is given back. It is read whole after a
crash: 36 MB a second."""

_PATIENCE_AT_START: Final = 1000  # ms, for who reads the file at that moment

log = logging.getLogger(__name__)

_SQLITE: Final[Dialect] = sqlite_dialect.dialect(paramstyle="qmark")
_make_postgres: Any = postgres_dialect.dialect  # untyped in SQLAlchemy
_POSTGRES: Final[Dialect] = _make_postgres(paramstyle="format")

_UNSTORABLE = (UnicodeEncodeError, OverflowError)
"""What Python itself raises for half a surrogate pair or a number of more than 64 bits."""

_NO_TEXT = "decode to UTF-8"
"""SQLite's words for a text that is none; those of the text itself follow them."""


class Backend(Protocol):
    """A connection factory with its dialect."""

    dialect: Dialect

    def connect(self) -> Any:
        """A DB-API connection in autocommit mode; BEGIN and COMMIT are said in words."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the driver's errors."""
        yield

    def rows(self, connection: Any, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """All rows of an answer; a text that cannot be decoded comes as its octets."""

    def begin(self) -> str:
        """The statement that opens a writing transaction."""

    def take_checkpoints(self, connection: Any) -> None:
        """From here on `checkpoint` is called; the database does none inside a commit."""

    def checkpoint(self, connection: Any) -> None:
        """Bring what is in the log into the file; raises what goes wrong."""


class SqliteBackend:
    """One file, written and checkpointed by one connection of one process (MTA-9)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.dialect = _SQLITE

    def connect(self) -> Any:
        """Open the file with full durability: WAL and a flush for each commit."""
        from pysqlite3 import dbapi2  # noqa: PLC0415 - only processes that own a shard load it

        self._path.touch(mode=0o600)
        with self.errors():
            connection = dbapi2.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
            )
            for pragma in (
                f"page_size={PAGE_SIZE}",
                "journal_mode=WAL",
                "synchronous=FULL",
                f"wal_autocheckpoint={CHECKPOINT_PAGES}",
                f"journal_size_limit={_LOG_KEPT}",
                "cache_size=-4096",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def make(self) -> None:
        """Make the file where there is none, with its page size; empty a log that a crash has left.

        What a torn write left behind the log's end goes with it, and can never be taken for frames again. Where
        there is no room for that, or somebody reads, the log stays, and mail goes out all the same.
        """
        connection = self.connect()
        try:
            with self.errors():
                connection.execute(f"PRAGMA busy_timeout={_PATIENCE_AT_START}").fetchall()
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                log.warning("%s: its log could not be emptied: somebody reads it", self._path)
        except StoreFullError as error:
            log.warning("%s: its log could not be emptied: %s", self._path, error)
        finally:
            connection.close()

    def take_checkpoints(self, connection: Any) -> None:
        """SQLite's own come inside a commit, which says that all went well when they have failed."""
        with self.errors():
            connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()

    def checkpoint(self, connection: Any) -> None:
        """As far as no reader is in the way."""
        with self.errors():
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def begin(self) -> str:
        """Take the write lock at once: there is no other writer to wait for."""
        return "BEGIN IMMEDIATE"

    @contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's own words stay in the text: they name the file's trouble best."""
        from pysqlite3 import dbapi2  # noqa: PLC0415

        try:
            yield
        except dbapi2.Error as error:
            text = str(error)
            if _NO_TEXT in text:
                raise DamagedError(f"{self._path}: {text}") from error
            if "full" in text:
                raise StoreFullError(
                    f"no space left for {self._path}: free some, mail is taken again by itself"
                ) from error
            if "disk I/O error" in text or "malformed" in text:
                raise StoreLostError(f"{self._path}: {text}: the process starts anew") from error
            if "is locked" in text:
                raise StoreBusyError(
                    f"{self._path}: {text}: another program has it open, end that; it is tried again by itself"
                ) from error
            raise StoreError(f"{self._path}: {text}") from error
        except _UNSTORABLE as error:
            raise UnstorableError(f"{self._path}: a value cannot be stored: {error}") from error
        except ValueError as error:
            raise DamagedError(f"{self._path}: a row is damaged: {error}") from error

    def rows(self, connection: Any, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """Once more for that, which is slower."""
        try:
            with self.errors():
                return list(connection.execute(sql, values).fetchall())
        except DamagedError:
            connection.text_factory = _text_or_octets
        try:
            with self.errors():
                return list(connection.execute(sql, values).fetchall())
        finally:
            connection.text_factory = str


class PostgresBackend:
    """All shards in one database; the shard's row fences an owner that was thought dead."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.dialect = _POSTGRES

    def connect(self) -> Any:
        """Connect with psycopg 3, autocommit on."""
        import psycopg  # noqa: PLC0415 - an optional dependency

        with self.errors():
            return psycopg.connect(self._url, autocommit=True)

    def begin(self) -> str:
        """READ COMMITTED suffices: every move is a conditional UPDATE."""
        return "BEGIN"

    def take_checkpoints(self, connection: Any) -> None:
        """PostgreSQL has a process for them."""

    def checkpoint(self, connection: Any) -> None:
        """PostgreSQL has a process for them."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Disk full is told apart, so that clients get 452."""
        import psycopg  # noqa: PLC0415

        try:
            yield
        except psycopg.errors.DiskFull as error:
            raise StoreFullError(f"PostgreSQL has no space left: {error}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreLostError(f"PostgreSQL: {error}: the process connects anew") from error
        except (psycopg.DataError, *_UNSTORABLE) as error:  # of the former: a NUL in a text
            raise UnstorableError(f"PostgreSQL: a value cannot be stored: {error}") from error
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL: {error}") from error
        except ValueError as error:
            raise DamagedError(f"PostgreSQL: a row is damaged: {error}") from error

    def rows(self, connection: Any, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """It holds no text that cannot be decoded."""
        with self.errors():
            return list(connection.execute(sql, values).fetchall())


def _text_or_octets(octets: bytes) -> str | bytes:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets


def schema() -> MetaData:
    """The tables of a spool, for whoever makes an empty one."""
    return metadata


@functools.cache
def compile_text(statement: ClauseElement, dialect: Dialect, order: tuple[str, ...]) -> str:
    """The statement as text whose positional parameters stand in `order`.

    The order is checked, so that a tuple can never be bound to the wrong columns. Made once for all
    shards of a process: the statements of one take 25 ms.
    """
    compiled: Any = statement.compile(dialect=dialect)
    found = tuple(compiled.positiontup or ())
    if found != order:
        raise AssertionError(f"parameters are bound as {found}, not {order}: {compiled}")
    return str(compiled)
