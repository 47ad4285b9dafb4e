"""Reading: a whole spool, page by page, beside the process that owns it.

Each page is one short transaction: a long one would keep SQLite from reusing its write-ahead log, which
then grows with every message (OPS-7). Messages are whole in themselves, with content and recipients as
they stood at one moment; two of them may be of different moments. Never writes, never checkpoints.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Integer, bindparam, func, literal_column, select, tuple_

from appliance.core import ids
from appliance.core.database import sqlite_connect
from mta.spool import tables as t
from mta.spool.backend import PostgresBackend, SqliteBackend
from mta.spool.statements import Statement, compile_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Table

    from mta.spool.backend import Backend

Row = tuple[Any, ...]

END: Final = (1 << 63) - 1
PAGE_ROWS: Final = 200
PAGE_BYTES: Final = 8 * 1024 * 1024
"""What one transaction reads at most, unless one message is larger: some 10 ms."""

_ROWS: Final = 2000
_ZERO: Final[ColumnElement[int]] = literal_column("0")
_m, _r, _c, _o, _k = t.message.c, t.recipient.c, t.content.c, t.outbox.c, t.idempotency.c
p = bindparam


class SqliteReader(SqliteBackend):
    """The file of a shard, whoever owns it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._readable = path

    def connect(self) -> Any:
        """Read only."""
        with self.errors():
            return sqlite_connect(self._readable, readonly=True)

    def begin(self) -> str:
        """What is read together is of one moment."""
        return "BEGIN"


class PostgresReader(PostgresBackend):
    """The spool in the database, beside its owners."""

    def begin(self) -> str:
        """What is read together is of one moment."""
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def _page(table: Table, *conditions: Any, order: tuple[Any, ...]) -> Any:
    return (
        select(*table.columns)
        .where(*conditions)
        .order_by(*order)
        .limit(p("b_rows", type_=Integer()))
        .offset(_ZERO)
    )


_SPAN: Final = ("b_after", "b_upto")
_READS: Final[dict[str, Statement]] = {
    "read_sizes": (
        select(_m.id, _m.size)
        .where(_m.shard == p("b_shard"), _m.id > p("b_after"), _m.id <= p("b_upto"))
        .order_by(_m.id)
        .limit(p("b_rows", type_=Integer()))
        .offset(_ZERO),
        ("b_shard", *_SPAN, "b_rows"),
    ),
    "read_messages": (
        select(*t.message.columns)
        .where(_m.shard == p("b_shard"), _m.id > p("b_after"), _m.id <= p("b_upto"))
        .order_by(_m.id),
        ("b_shard", *_SPAN),
    ),
    "read_recipients": (
        select(*t.recipient.columns)
        .where(_r.shard == p("b_shard"), _r.message_id > p("b_after"), _r.message_id <= p("b_upto"))
        .order_by(_r.message_id, _r.n),
        ("b_shard", *_SPAN),
    ),
    "read_contents": (
        select(*t.content.columns)
        .where(_c.message_id > p("b_after"), _c.message_id <= p("b_upto"))
        .order_by(_c.message_id),
        _SPAN,
    ),
    "read_newest": (select(func.max(_m.id)).where(_m.shard == p("b_shard")), ("b_shard",)),
    "read_newest_event": (select(func.max(_o.seq)).where(_o.shard == p("b_shard")), ("b_shard",)),
    "read_shard": (
        select(*t.shard.columns).where(t.shard.c.shard == p("b_shard")),
        ("b_shard",),
    ),
    "read_events": (
        _page(
            t.outbox,
            _o.shard == p("b_shard"),
            _o.seq > p("b_after"),
            _o.seq <= p("b_upto"),
            order=(_o.seq,),
        ),
        ("b_shard", *_SPAN, "b_rows"),
    ),
    "read_keys": (
        _page(
            t.idempotency,
            _k.shard == p("b_shard"),
            tuple_(_k.tenant_id, _k.key) > tuple_(p("b_tenant"), p("b_key")),
            order=(_k.tenant_id, _k.key),
        ),
        ("b_shard", "b_tenant", "b_key", "b_rows"),
    ),
}


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything the spool has under one message id, as rows; some of it may be missing."""

    message_id: int
    message: Row | None
    recipients: tuple[Row, ...]
    content: Row | None


class SpoolReader:
    """One shard, read beside its owner."""

    def __init__(self, backend: Backend, shard: int) -> None:
        self.shard = shard
        self._backend = backend
        self._sql = compile_all(backend.dialect, _READS)
        self._connection = backend.connect()

    def close(self) -> None:
        """Let go of it."""
        with self._backend.errors():
            self._connection.close()

    def newest(self) -> int:
        """The highest message id there is; 0 for none."""
        return int(self._rows("read_newest", (self.shard,))[0][0] or 0)

    def shard_row(self) -> Row | None:
        """The row of the shard: epoch, owner, how far ids and events have come."""
        rows = self._rows("read_shard", (self.shard,))
        return rows[0] if rows else None

    def messages(self, after: int = -1, upto: int = END) -> Iterator[list[Whole]]:
        """Every message in the order of ids; also rows that have lost theirs."""
        while after < upto:
            with self._moment():
                end = self._end(after, upto)
                found = self._wholes(after, end)
            yield found
            after = end

    def events(self) -> Iterator[list[Row]]:
        """What the outbox holds now; what comes meanwhile is left out, or this would not end."""
        after = -1
        upto = int(self._rows("read_newest_event", (self.shard,))[0][0] or 0)
        while rows := self._rows("read_events", (self.shard, after, upto, _ROWS)):
            yield rows
            after = rows[-1][1]

    def idempotency_keys(self) -> Iterator[list[Row]]:
        """The idempotency keys."""
        place: tuple[int, str] = (-END, "")
        while rows := self._rows("read_keys", (self.shard, *place, _ROWS)):
            yield rows
            place = (rows[-1][0], rows[-1][1])

    def _end(self, after: int, upto: int) -> int:
        """Where the page behind `after` ends."""
        sizes = self._rows("read_sizes", (self.shard, after, upto, PAGE_ROWS))
        total = 0
        for place, (_, size) in enumerate(sizes):
            total += size
            if total > PAGE_BYTES and place > 0:
                return int(sizes[place - 1][0])
        return int(sizes[-1][0]) if len(sizes) == PAGE_ROWS else upto

    def _wholes(self, after: int, end: int) -> list[Whole]:
        messages = {row[0]: row for row in self._rows("read_messages", (self.shard, after, end))}
        contents = {
            row[0]: row
            for row in self._rows("read_contents", (after, end))
            if ids.shard_of(row[0]) == self.shard
        }
        people: dict[int, list[Row]] = {}
        for row in self._rows("read_recipients", (self.shard, after, end)):
            people.setdefault(row[0], []).append(row)
        return [
            Whole(one, messages.get(one), tuple(people.get(one, ())), contents.get(one))
            for one in sorted(messages.keys() | contents.keys() | people.keys())
        ]

    @contextmanager
    def _moment(self) -> Iterator[None]:
        with self._backend.errors():
            self._connection.execute(self._backend.begin())
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def _rows(self, name: str, values: Row) -> list[Row]:
        """Damaged ones among them."""
        return self._backend.rows(self._connection, self._sql[name], values)


def shards_of_database(backend: Backend) -> list[int]:
    """Every shard that a database holds."""
    connection = backend.connect()
    try:
        with backend.errors():
            rows = connection.execute("SELECT shard FROM shard ORDER BY shard").fetchall()
    finally:
        connection.close()
    return [int(row[0]) for row in rows]
