"""What is known of domains until some time, in a file that outlives restarts and that processes share.

    MxCache     `cache.db`: what DNS said; may be deleted at any time
    StsCache    `sts.db`: MTA-STS policies; deleting it gives up, until each was fetched again, the
                protection of those whose hosts an attacker could pretend to be just then

Reads are point look-ups in the caller's thread (about 20 us, WAL readers wait for nobody); writes are
collected and done by one thread once a second: without fsync in `cache.db`, while `sts.db` survives a
power cut whole. A file that is corrupt or of another version is removed and started anew; when the disk
is full or the directory is gone, the cache silently remembers nothing. Never raises for its file.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

import msgspec
from pysqlite3 import dbapi2 as sqlite

from appliance.core import clock
from mta.transport.mx import MxFacts
from mta.transport.sts_policy import KeptPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MX_VERSION: Final = 2
_STS_VERSION: Final = 1
_MAX_ROWS: Final = 500_000
_PRUNE_EVERY: Final = 600  # flushes
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS facts (domain TEXT PRIMARY KEY, facts BLOB NOT NULL, "
    "expires_at INTEGER NOT NULL) WITHOUT ROWID"
)
_BROKEN: Final = (sqlite.Error, UnicodeDecodeError)
"""What reading a damaged file raises; the second where SQLite quotes octets of it that are no text."""

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Expiring(Protocol):
    """What can be kept: a msgspec value that holds until a time (ms)."""

    @property
    def expires_at(self) -> int:
        """From then on it is not given out any more."""


T = TypeVar("T", bound=Expiring)


class DomainCache(Generic[T]):
    """One per process and file; `get` and `put` are called from the event loop."""

    def __init__(
        self,
        kind: type[T],
        file: Callable[[], _File],
        *,
        now: Callable[[], int] = clock.now_ms,
        flush_every: float = 1.0,
    ) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._now = now
        self._every = flush_every
        self._lock = threading.Lock()  # guards _waiting
        self._waiting: dict[str, T] = {}
        self._stop = threading.Event()
        self._reader, self._writer = file(), file()
        self._flushes = 0
        self._thread = threading.Thread(target=self._write_loop, name="domain-cache", daemon=True)
        self._thread.start()

    def get(self, domain: str) -> T | None:
        """What is known and still holds."""
        with self._lock:
            facts = self._waiting.get(domain)
        if facts is None:
            facts = self._read(domain)
        return facts if facts is not None and facts.expires_at > self._now() else None

    def put(self, domain: str, facts: T) -> None:
        """Remember; on disk within about a second."""
        with self._lock:
            self._waiting[domain] = facts

    def close(self) -> None:
        """Write what waits and close the file."""
        self._stop.set()
        self._thread.join()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, domain: str) -> T | None:
        try:
            connection = self._reader.connection()
            if connection is None:
                return None
            query = "SELECT facts FROM facts WHERE domain = ?"
            row = connection.execute(query, (domain,)).fetchone()
            return self._decode(row[0]) if row is not None else None
        except (*_BROKEN, msgspec.DecodeError) as error:
            self._reader.failed(error)
            return None

    def _write_loop(self) -> None:
        while not self._stop.wait(self._every):
            self._flush()
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        with self._lock:
            batch = dict(self._waiting)
        if not batch:
            return
        self._write(batch)
        with self._lock:
            # Only now: until the commit a reader finds them in memory. What came meanwhile stays.
            for domain, facts in batch.items():
                if self._waiting.get(domain) is facts:
                    del self._waiting[domain]

    def _write(self, batch: dict[str, T]) -> None:
        rows = [(domain, _encode(facts), facts.expires_at) for domain, facts in batch.items()]
        for _ in range(2):  # once more on a file that was started anew
            try:
                self._insert(rows)
            except _BROKEN as error:
                self._writer.failed(error)
            else:
                return

    def _insert(self, rows: list[tuple[str, bytes, int]]) -> None:
        connection = self._writer.connection()
        if connection is None:
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)
        self._prune(connection)
        connection.execute("COMMIT")

    def _prune(self, connection: Any) -> None:
        self._flushes += 1
        if self._flushes % _PRUNE_EVERY != 1:
            return
        connection.execute("DELETE FROM facts WHERE expires_at <= ?", (self._now(),))
        (count,) = connection.execute("SELECT count(*) FROM facts").fetchone()
        if count > _MAX_ROWS:
            connection.execute(
                "DELETE FROM facts WHERE domain IN (SELECT domain FROM facts LIMIT ?)",
                (count - _MAX_ROWS // 2,),
            )


class MxCache(DomainCache[MxFacts]):
    """What DNS said of destination domains."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(MxFacts, lambda: _File(path, _MX_VERSION), **options)


class StsCache(DomainCache[KeptPolicy]):
    """MTA-STS policies."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(KeptPolicy, lambda: _File(path, _STS_VERSION, is_durable=True), **options)


class _File:
    """One connection to the file, opened when needed and opened anew after a failure."""

    def __init__(self, path: Path, version: int, *, is_durable: bool = False) -> None:
        self._path, self._version = path, version
        self._synchronous = "NORMAL" if is_durable else "OFF"  # OFF: a torn file is thrown away
        self._connection: Any = None
        self._inode = 0

    def connection(self) -> Any:
        """The open connection; None while the file cannot be had. Raises as _BROKEN."""
        inode = self._inode_on_disk()
        if self._connection is not None and inode == self._inode:
            return self._connection
        self.close()  # another thread or process has started the file anew
        if not self._path.parent.is_dir():
            return None
        self._connection = self._open()
        self._inode = self._inode_on_disk()
        return self._connection

    def failed(self, error: Exception) -> None:
        """Close; and remove the file where the fault is in it and nobody has replaced it yet."""
        _log.warning("cache %s is not usable now: %s", self._path, error)
        known = self._inode or self._inode_on_disk()
        self.close()
        if _is_file_sound(error) or known != self._inode_on_disk():
            return
        try:
            for suffix in ("-wal", "-shm", ""):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as why:
            _log.warning("cache %s cannot be removed: %s", self._path, why)

    def close(self) -> None:
        """Close the connection, if any."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._inode = None, 0

    def _open(self) -> Any:
        # check_same_thread: a connection is used by one thread, but may be closed by another.
        connection = sqlite.connect(
            str(self._path), timeout=2, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, self._version):
                raise sqlite.DatabaseError(f"version {version} is not {self._version}")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version={self._version}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _inode_on_disk(self) -> int:
        try:
            return self._path.stat().st_ino
        except OSError:
            return 0


def _is_file_sound(error: Exception) -> bool:
    """Whether the fault is not in the file: another process writes, no space, no permission."""
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(
        ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
    )
