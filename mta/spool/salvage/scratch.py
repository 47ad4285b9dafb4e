"""Scratch: the new store while it is filled with what was found; no process owns it yet.

Rows may come twice, from a page of today and from one of yesterday: of a recipient the one that is
further on its way is kept, of all else the first, and reachable pages come first.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.database import open_sync_engine
from appliance.core.migrate import upgrade
from mta.spool import digest
from mta.spool import tables as t
from mta.spool.backend import SqliteBackend, schema
from mta.spool.salvage.verdict import Content, Logged, LoggedRecipient, Row
from mta.status import FINAL, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Table

_FINAL_WORDS: Final = ", ".join(f"'{status}'" for status in sorted(FINAL))
_ENDS: Final = frozenset(map(str, FINAL))
_COUNT_WAITING: Final = f"SELECT count(*) FROM recipient WHERE status NOT IN ({_FINAL_WORDS})"  # noqa: S608 - our own words
_WAITING_PAGE: Final = (
    "SELECT message_id, n, tenant_id, address FROM recipient"
    " WHERE status IN ('queued', 'deferred') LIMIT 2000"
)
_CONTENT: Final = "SELECT data, digest FROM content WHERE message_id = ?"
_json: Final = msgspec.json.Encoder()


class Scratch:
    """An empty spool of one shard, to be filled."""

    def __init__(self, path: Path, shard: int) -> None:
        self.path, self.shard = path, shard
        self.epoch = self.last_id = self.acked = 0
        self.next_seq = 1
        self._backend = SqliteBackend(path)
        self._backend.connect().close()  # fixes the page size of a new one
        engine = open_sync_engine(path)
        try:
            upgrade("spool", engine, tables=schema())
        finally:
            engine.dispose()
        self._connection = self._backend.connect()
        self._connection.execute("PRAGMA synchronous = OFF")  # it counts only when it is complete

    @classmethod
    def new(cls, path: Path, shard: int) -> Scratch:
        """An empty one; what stood there from an earlier try goes."""
        discard(path)
        return cls(path, shard)

    @classmethod
    def of(cls, path: Path, shard: int) -> Scratch:
        """A store that stands, to be judged before anybody owns it."""
        scratch = cls(path, shard)
        for row in scratch._rows("SELECT * FROM shard", ()):
            scratch.add(t.shard, row)
        scratch._run("DELETE FROM shard", ())
        scratch.complete()
        return scratch

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Many rows at once."""
        with self._backend.errors():
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")

    def add(self, table: Table, row: Row) -> None:
        """A row that was found."""
        if table is t.shard:
            self.epoch = max(self.epoch, row[1])
            self.last_id, self.acked = max(self.last_id, row[4]), max(self.acked, row[5])
        else:
            self._connection.execute(_INSERTS[table.name], row)

    def put(self, table: Table, row: Row) -> None:
        """A row as it stands now, whatever was there before."""
        insert = _INSERTS[table.name].partition(" ON CONFLICT")[0].replace(" OR IGNORE", "")
        self._connection.execute(insert.replace("INSERT", "INSERT OR REPLACE", 1), row)

    def complete(self) -> int:
        """All that was found is in: number what comes; returns how many events are missing."""
        run = self._one
        self.acked = self.acked or (run("SELECT min(seq) FROM outbox") or 1) - 1
        last = max(run("SELECT max(seq) FROM outbox") or 0, self.acked)
        self.next_seq = last + 1
        newest = (f"SELECT max({name}) FROM {table}" for name, table in _IDS)  # noqa: S608 - our own names
        self.last_id = max(self.last_id, *(run(sql) or 0 for sql in newest))
        self._connection.execute("CREATE INDEX IF NOT EXISTS scratch_outbox ON outbox (message_id)")
        there = run(f"SELECT count(*) FROM outbox WHERE seq > {self.acked}")  # noqa: S608 - a number
        return last - self.acked - (there or 0)

    def count_waiting(self) -> int:
        """Recipients that have not reached an end."""
        return self._one(_COUNT_WAITING) or 0

    # -- message by message ------------------------------------------------

    def ids_after(self, after: int, limit: int) -> list[int]:
        """The next messages of which there is anything."""
        found: set[int] = set()
        for name, table in _IDS:
            sql = f"SELECT DISTINCT {name} FROM {table} WHERE {name} > ? ORDER BY {name} LIMIT ?"  # noqa: S608 - our own names
            found |= {row[0] for row in self._rows(sql, (after, limit))}
        return sorted(found)[:limit]

    def has(self, message_id: int) -> bool:
        """Whether anything of it is there."""
        return any(
            self._rows(f"SELECT 1 FROM {table} WHERE {name} = ? LIMIT 1", (message_id,))  # noqa: S608 - our own names
            for name, table in _IDS
        )

    def message(self, message_id: int) -> Row | None:
        """Its row."""
        rows = self._rows("SELECT * FROM message WHERE id = ?", (message_id,))
        return rows[0] if rows else None

    def recipients(self, message_id: int) -> tuple[Row, ...]:
        """Their rows, in order."""
        sql = "SELECT * FROM recipient WHERE message_id = ? ORDER BY n"
        return tuple(self._rows(sql, (message_id,)))

    def content(self, message_id: int) -> bytes | None:
        """Its bytes, as far as they are here."""
        rows = self._rows(_CONTENT, (message_id,))
        return bytes(rows[0][0]) if rows else None

    def state_of_content(self, message_id: int, message: Row | None) -> Content:
        """Whether the bytes are those that were stored; without a digest the length must do."""
        rows = self._rows(_CONTENT, (message_id,))
        if not rows:
            return Content.NONE
        data, told = rows[0]
        if told is None:
            is_same = message is None or len(data) == message[10]
        else:
            is_same = digest.of_content(data) == told
        return Content.WHOLE if is_same else Content.DAMAGED

    def events_of(self, message_id: int) -> tuple[dict[int, str], Logged | None]:
        """What the outbox knows: who reached an end, and with whom the message was accepted."""
        sql = "SELECT n, kind, data FROM outbox WHERE message_id = ? ORDER BY seq"
        ends, accepted = {}, None
        for n, kind, data in self._rows(sql, (message_id,)):
            if kind in _ENDS and n >= 0:
                ends[n] = kind
            elif kind == EventKind.ACCEPTED:
                accepted = _accepted(message_id, data)
        return ends, accepted

    # -- verdicts ------------------------------------------------------------

    def drop(self, message_id: int) -> None:
        """Nothing of it stays."""
        for name, table in _IDS[:3]:
            self._run(f"DELETE FROM {table} WHERE {name} = ?", (message_id,))  # noqa: S608 - our own names
        self._run("DELETE FROM idempotency WHERE message_id = ?", (message_id,))

    def move(self, message_id: int, numbers: Iterable[int], status: Status, reason: str) -> None:
        """Rows that stand elsewhere than they say."""
        sql = (
            "UPDATE recipient SET status = ?, reason = ?, due_at = 0 WHERE message_id = ? AND n = ?"
        )
        for n in numbers:
            self._run(sql, (str(status), reason, message_id, n))

    def end(self, message_id: int, n: int, status: str) -> None:
        """A recipient whose end is known from elsewhere."""
        sql = "UPDATE recipient SET status = ?, due_at = 0 WHERE message_id = ? AND n = ?"
        self._run(sql, (status, message_id, n))

    def add_event(self, place: tuple[int, int], kind: str, at: int, data: dict[str, Any]) -> None:
        """To the outbox."""
        row = (self.shard, self.next_seq, *place, kind, at, _json.encode(data))
        self._connection.execute(_INSERTS["outbox"], row)
        self.next_seq += 1

    def hold_all(self, reason: str, now: int) -> int:
        """Hold everybody who waits, until a person lets them go; returns how many."""
        held = 0
        while rows := self._rows(_WAITING_PAGE, ()):
            with self.transaction():
                for message_id, n, tenant, address in rows:
                    self.move(message_id, [n], Status.HELD, reason)
                    data = {"tenant": tenant, "to": address, "reason": reason}
                    self.add_event((message_id, n), EventKind.HELD, now, data)
            held += len(rows)
        return held

    def settle(self, message_id: int, now: int, *, rewritten: bool) -> int:
        """Let the message's row say what its recipients' do; returns how many of them are open."""
        message, rows = self.message(message_id), self.recipients(message_id)
        assert message is not None
        still_open = sum(1 for row in rows if row[7] not in _ENDS)
        told = message[t.DIGEST]
        if rewritten and told is not None:
            told = digest.of_envelope(message, rows)
        done = 0 if still_open else message[t.DONE_AT] or now
        if (still_open, done, told) != (message[t.OPEN], message[t.DONE_AT], message[t.DIGEST]):
            sql = "UPDATE message SET open = ?, done_at = ?, digest = ? WHERE id = ?"
            self._run(sql, (still_open, done, told, message_id))
        if not still_open:
            self._run("DELETE FROM content WHERE message_id = ?", (message_id,))
        return still_open

    def close(self, owner: str, now: int) -> None:
        """Complete and on disk, as one file."""
        row = (self.shard, self.epoch + 1, owner, now, self.last_id, self.acked)
        self._connection.execute(_INSERTS["shard"], row)
        self._connection.execute("DROP INDEX IF EXISTS scratch_outbox")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def abandon(self) -> None:
        """Nothing of it remains."""
        self._connection.close()
        discard(self.path)

    def _run(self, sql: str, values: Row) -> None:
        self._connection.execute(sql, values)

    def _rows(self, sql: str, values: Row) -> list[Row]:
        with self._backend.errors():
            return list(self._connection.execute(sql, values).fetchall())

    def _one(self, sql: str) -> int | None:
        found: int | None = self._connection.execute(sql).fetchone()[0]
        return found


_IDS: Final = (
    ("id", "message"),
    ("message_id", "recipient"),
    ("message_id", "content"),
    ("message_id", "outbox"),
)


def _insert(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608 - our own names


def _further_on() -> str:
    names = [column.name for column in t.recipient.columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[2:])
    return (
        _insert(t.recipient).replace(" OR IGNORE", "")
        + f" ON CONFLICT (message_id, n) DO UPDATE SET {changes}"
        + " WHERE excluded.attempts > recipient.attempts"
        + f" OR (excluded.status IN ({_FINAL_WORDS}) AND recipient.status NOT IN ({_FINAL_WORDS}))"
    )


_INSERTS: Final = {
    **{table.name: _insert(table) for table in t.metadata.sorted_tables},
    "recipient": _further_on(),
}


def _accepted(message_id: int, data: bytes) -> Logged | None:
    try:
        told = msgspec.json.decode(data)
        people = tuple(LoggedRecipient(n, to, status) for n, to, _, status in told["recipients"])
        return Logged(message_id, told["tenant"], told["sender"], told["size"], people)
    except (msgspec.DecodeError, KeyError, ValueError, TypeError):
        return None


def discard(path: Path) -> None:
    """Remove a store that counts for nothing, with its log."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
