"""Store: what one shard keeps, through one connection that only the committing thread uses.

Promises: `write()` is one transaction with one flush, checked against the fencing token of the
shard; a state moves by a conditional UPDATE whose row count is checked. Never: a second writer, an
ORM, a query per recipient of a message. Fails as StoreError, StoreFullError or FencedError. A damaged row
keeps nothing from being read but itself (damage.py).
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from appliance.core.errors import FencedError, StoreError, StoreLostError
from mta.spool import digest
from mta.spool.backend import CHECKPOINT_PAGES, PAGE_SIZE
from mta.spool.batch import Batch, Event, Settlement
from mta.spool.damage import Damage
from mta.spool.questions import QUESTIONS, Questions
from mta.spool.rows import message_of, recipient_of
from mta.spool.statements import Compiled, compile_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.sql import ClauseElement

    from mta.message import Admitted, Message, Recipient
    from mta.spool.backend import Backend
    from mta.status import Status

log = logging.getLogger(__name__)

_COMMIT_PAGES: Final = 8
"""Pages of the log that a commit takes, besides its content and a quarter of one for each job (measured: 7 for one
message, 17 for 20, 54 for 100 of 4 KB, 655 for 100 of 100 KB)."""

ROWS = 64
"""Rows of one INSERT; 64 messages have 1,664 parameters (SQLite takes 32,766, PostgreSQL 65,535)."""


class QueueKey(NamedTuple):
    """Under which recipients wait at rest (MTA-10).

    A tuple: of a million of them each is made in a third of the time, and found in a fifth.
    """

    tenant_id: int
    traffic_class: str
    domain: str
    pool: str = ""  # egress pool that was asked for


BEFORE_ALL: Final = QueueKey(-1, "", "")

CLOCK_BACK: Final = 60_000
"""Milliseconds that the clock may go back before times to come are moved; less is waited out."""

KEYS_A_SLICE: Final = 4_000
"""Keys read at once at start: some 10 ms, and the mail has its turn again."""


class Waiting(NamedTuple):
    """How many wait under a key, and when the first is due."""

    key: QueueKey
    recipients: int
    due_at: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the last page of due recipients of a key ended."""

    due_at: int = -1
    message_id: int = -1
    n: int = -1


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event as the shipper takes it over."""

    seq: int
    message_id: int
    n: int
    kind: str
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Move:
    """A person's (or limit's) change of a waiting or held recipient."""

    message_id: int
    n: int
    status: Status
    due_at: int
    reason: str
    event: Event


@dataclass(frozen=True, slots=True)
class Reroute:
    """A person's choice of another egress pool for a recipient."""

    message_id: int
    n: int
    pool: str
    event: Event


class SpoolStore:
    """One shard of the spool."""

    def __init__(self, backend: Backend, shard: int, *, keeps_content: bool = False) -> None:
        self.shard = shard
        self._keeps_content = keeps_content  # of finished messages, until they are purged
        self._backend = backend
        self._sql: Compiled = compile_all(backend.dialect, QUESTIONS)
        self.damage = Damage(shard)
        self.questions = Questions(shard, self._found, self._select, self.damage)  # what people ask
        self._epoch = 0
        self._last_id = 0
        self._next_seq = 1
        self._log_pages = 0  # about so many are in the log since the last checkpoint
        self._connection: Any = None
        self._cursor: Any = None

    # -- life ------------------------------------------------------------

    def open(self, owner: str, now: int) -> int:
        """Take the shard over and return the highest message id it ever gave out.

        Whoever owned it before is fenced: its next commit fails.
        """
        self._connection = self._backend.connect()
        with self.transaction():
            self._catch_up(now)
            if not self._change("claim", (owner, now, self.shard)):
                self._change("insert_shard", (self.shard, 1, owner, now, 0, 0))
            self._epoch, last_id, acked = self._row("shard", (self.shard,))
            last_seq = self._row("last_seq", (self.shard,))[0] or 0
            newest = self._row("last_message", (self.shard,))[0] or 0
        self._next_seq = max(last_seq, acked) + 1
        self._last_id = max(last_id, newest)
        return self._last_id

    def close(self) -> None:
        """Close the connection; SQLite checkpoints what is left in the WAL."""
        if self._connection is not None:
            with self._backend.errors():
                self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN .. COMMIT; any error rolls back and leaves the store as it was."""
        with self._backend.errors():
            self._cursor = self._connection.cursor()
            self._cursor.execute(self._backend.begin())
            try:
                yield
                self._cursor.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise
            finally:
                self._cursor.close()

    def take_checkpoints(self) -> None:
        """From here on checkpoints come from `checkpoint` alone."""
        self._backend.take_checkpoints(self._connection)

    def checkpoint(self, jobs: int, octets: int) -> None:
        """After a commit of so many jobs with so many octets: a checkpoint when enough has come together.

        Raises StoreLostError when the disk fails; whatever else stands in its way is met again next time.
        """
        self._log_pages += _COMMIT_PAGES + octets // PAGE_SIZE + jobs // 4
        if self._log_pages < CHECKPOINT_PAGES:
            return
        self._log_pages = 0
        try:
            self._backend.checkpoint(self._connection)
        except StoreLostError:
            raise
        except StoreError as error:
            log.warning("a checkpoint has to wait: %s", error)

    def _rollback(self) -> None:
        # SQLite has already rolled back when the disk was full (sqlite.org/lang_transaction.html).
        if getattr(self._connection, "in_transaction", True):
            self._connection.rollback()

    # -- writing ---------------------------------------------------------

    def batch(self, now: int) -> Batch:
        """An empty batch that continues the outbox's numbers."""
        return Batch(shard=self.shard, now=now, next_seq=self._next_seq)

    def write(self, batch: Batch) -> list[Settlement]:
        """Write it all within the open transaction; return settlements whose recipient had moved on.

        Call inside `transaction()`, and `written()` after its end.
        """
        self._fence()
        self._add(batch)
        lost = self._settle(batch)
        self.write_events(batch)
        return lost

    def write_events(self, batch: Batch) -> None:
        """Events that were added since the last call go to the outbox."""
        self._insert("insert_event", batch.events[batch.events_written :])
        batch.events_written = len(batch.events)

    def written(self, batch: Batch) -> None:
        """The transaction is durable: go on from the batch's numbers."""
        self._next_seq = batch.next_seq
        self._last_id = max(self._last_id, batch.last_id)

    def beat(self, now: int) -> None:
        """Say that the owner lives, and how far ids have come. Call inside `transaction()`."""
        self._catch_up(now)
        self._change("beat", (now, self._last_id, self._last_id, self.shard, self._epoch))

    def _catch_up(self, now: int) -> None:
        """A clock that went back takes the next tries along; else mail would wait for all that time."""
        row = self._row("beaten", (self.shard,))
        back = row[0] - now if row else 0
        if back > CLOCK_BACK:
            self._change("clock_back", (back, self.shard, now, row[0] + CLOCK_BACK))

    def _fence(self) -> None:
        if self._row("fence", (self.shard,)) != (self._epoch,):
            raise FencedError(f"shard {self.shard} has a new owner: this process must stop")

    def _settle(self, batch: Batch) -> list[Settlement]:
        if not batch.settlements:
            return []
        done, lost = self._settled(batch.settlements)
        closed: dict[int, int] = {}
        for settlement in done:
            batch.add_event(settlement.event)
            if settlement.status.is_final:
                message_id = settlement.recipient.message_id
                closed[message_id] = closed.get(message_id, 0) + 1
        self._close(closed, batch.now)
        return lost

    def _settled(
        self, settlements: Sequence[Settlement]
    ) -> tuple[Sequence[Settlement], list[Settlement]]:
        """Those that took effect, and those whose recipient had moved on.

        All at once; where some did not, again one by one: a message must be closed exactly once for
        each of its recipients, or the content of the others is dropped.
        """
        rows = [_settle_row(s) for s in settlements]
        self._cursor.execute("SAVEPOINT settling")
        if self._many("settle", rows) == len(rows):
            return settlements, []
        self._cursor.execute("ROLLBACK TO SAVEPOINT settling")
        done, lost = list[Settlement](), list[Settlement]()
        for settlement, row in zip(settlements, rows, strict=True):
            (done if self._change("settle", row) else lost).append(settlement)
        return done, lost

    def _close(self, closed: dict[int, int], now: int) -> None:
        self._many("close", [(count, count, now, mid) for mid, count in closed.items()])
        if not self._keeps_content:
            self._many("drop_content", [(mid,) for mid in closed])

    def add(self, admitted: Admitted, batch: Batch) -> None:
        """A message beside people's changes, in the same commit. Call inside `transaction()`."""
        more = Batch(shard=self.shard, now=batch.now, next_seq=batch.next_seq)
        more.add_message(admitted)
        self._add(more)
        batch.events += more.events
        batch.next_seq, batch.last_id = more.next_seq, max(batch.last_id, more.last_id)

    def _add(self, batch: Batch) -> None:
        self._insert("insert_message", batch.messages)
        self._insert("insert_content", batch.contents)
        self._insert("insert_recipient", batch.recipients)
        self._many("drop_old_key", [(*key[:2], batch.now) for key in batch.keys])
        self._insert("insert_key", batch.keys)

    def move(self, moves: Sequence[Move], batch: Batch, *, held: bool) -> list[Move]:
        """Carry out people's changes; return those that took effect. Call inside `transaction()`."""
        statement = "move_held" if held else "move_waiting"
        done, closed = [], dict[int, int]()
        for m in moves:
            if self._change(statement, (str(m.status), m.due_at, m.reason, m.message_id, m.n)):
                done.append(m)
                batch.add_event(m.event)
                if m.status.is_final:
                    closed[m.message_id] = closed.get(m.message_id, 0) + 1
        self._close(closed, batch.now)
        return done

    def reroute(self, routes: Sequence[Reroute], batch: Batch) -> list[Reroute]:
        """Send waiting mail by other pools; return what was changed. Call inside `transaction()`."""
        done = [r for r in routes if self._change("reroute", (r.pool, r.message_id, r.n, r.pool))]
        for one in done:
            batch.add_event(one.event)
        return done

    # -- reading ---------------------------------------------------------

    def waiting(self, after: QueueKey = BEFORE_ALL, limit: int = KEYS_A_SLICE) -> list[Waiting]:
        """What is at rest under the next keys behind `after`, in their order; read once at start."""
        while True:
            found = self._found("waiting", (self.shard, *after, limit))
            rows = self.damage.keys(found)
            if rows or len(found) < limit:
                break
            limit *= 2  # an empty slice is the end to who asks
        # Names are shared: many tenants write to a domain.
        return [
            Waiting(QueueKey(tenant_id, intern(kind), intern(domain), intern(pool)), many, due_at)
            for tenant_id, kind, domain, pool, many, due_at in rows
        ]

    def later(self, key: QueueKey, now: int) -> int:
        """When the first of those under a key that are not due yet will be; 0 if there is none."""
        row = self._row("next_due", (self.shard, *key, now))
        return int(row[0] or 0)

    def due(self, key: QueueKey, now: int, after: Cursor, limit: int) -> list[Recipient]:
        """The next page of recipients of a key that are due, in order: `limit` unless there are no more.

        Those that cannot be read are passed over.
        """
        found: list[Recipient] = []
        while (room := limit - len(found)) > 0:
            place = (after.due_at, after.message_id, after.n, room)
            rows = self._found("due", (self.shard, *key, now, *place))
            found += self.damage.recipients(rows)
            if len(rows) < room:
                break
            after = Cursor(rows[-1][8], *rows[-1][:2])
        return found

    def message(self, message_id: int) -> Message | None:
        """A message without its content. Raises DamagedError when it cannot be read."""
        with self._backend.errors():
            return next(map(message_of, self._found("message", (message_id,))), None)

    def recipients(self, message_id: int) -> list[Recipient]:
        """All recipients of a message. Raises DamagedError when one cannot be read."""
        with self._backend.errors():
            return [recipient_of(row) for row in self._found("recipients", (message_id,))]

    def content(self, message_id: int) -> bytes | None:
        """The bytes as accepted; None once they were dropped, or when they are not the same any more."""
        rows = self._found("content", (message_id,))
        if not rows or not isinstance(rows[0][0], str | bytes):
            return None
        data, known = rows[0]
        content = data.encode() if isinstance(data, str) else data  # one bit makes a text of octets
        return content if known in (None, digest.of_content(content)) else None

    def message_for_key(self, tenant_id: int, key: str, now: int) -> int | None:
        """The message an idempotency key stands for, if it is still remembered."""
        row = self._row("key", (tenant_id, key, now))
        return None if row is None else int(row[0])

    # -- outbox and tidying ----------------------------------------------

    def events(self, after: int, limit: int) -> list[OutboxRow]:
        """Events that follow `after`, for the shipper; damaged ones are passed over."""
        return self._events("events", (self.shard, after, limit))

    def events_of(self, message_id: int) -> list[OutboxRow]:
        """Events of one message that the log has not taken over yet."""
        return self._events("events_of", (self.shard, message_id))

    def _events(self, name: str, values: tuple[Any, ...]) -> list[OutboxRow]:
        return [OutboxRow(*row) for row in self.damage.events(self._found(name, values))]

    def acknowledge(self, upto: int) -> None:
        """The log has everything up to `upto`: forget it here. Call inside `transaction()`."""
        self._change("acknowledge", (upto, self.shard, upto))
        self._change("drop_events", (self.shard, upto))

    def purge(self, before: int, now: int, limit: int) -> int:
        """Drop finished messages that were done by `before`. Call inside `transaction()`."""
        self.beat(now)  # before a row goes that would tell how far ids have come
        done = [(row[0],) for row in self._rows("done", (self.shard, before, limit))]
        for statement in ("drop_any_content", "drop_recipients", "drop_message"):
            self._many(statement, done)
        self._change("drop_old_keys", (self.shard, now))
        return len(done)

    # -- the driver ------------------------------------------------------

    def _insert(self, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert in statements of 1, 2, 4 .. ROWS rows.

        The driver lets go of the GIL at every step and must win it back from the event loop: one
        step for many rows instead of one each is what keeps a busy loop from slowing the commits.
        """
        start, left = 0, len(rows)
        while left:
            size = min(ROWS, 1 << (left.bit_length() - 1))
            flat = tuple(chain.from_iterable(rows[start : start + size]))
            self._cursor.execute(self._sql.of_rows(name, size), flat)
            start, left = start + size, left - size

    def _many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> int:
        if not rows:
            return 0
        self._cursor.executemany(self._sql[name], rows)
        return int(self._cursor.rowcount)

    def _change(self, name: str, row: tuple[Any, ...]) -> int:
        self._cursor.execute(self._sql[name], row)
        return int(self._cursor.rowcount)

    def _row(self, name: str, row: tuple[Any, ...]) -> Any:
        with self._backend.errors():
            return self._connection.execute(self._sql[name], row).fetchone()

    def _select(self, statement: ClauseElement) -> list[Any]:
        """A statement made on the spot; for people's questions, never for the hot path."""
        compiled: Any = statement.compile(dialect=self._sql.dialect)
        row = tuple(compiled.params[name] for name in compiled.positiontup)
        return self._backend.rows(self._connection, str(compiled), row)

    def _rows(self, name: str, row: tuple[Any, ...]) -> list[Any]:
        with self._backend.errors():
            return list(self._connection.execute(self._sql[name], row).fetchall())

    def _found(self, name: str, row: tuple[Any, ...]) -> list[Any]:
        """As `_rows`, damaged ones among them: whoever asks looks at each."""
        return self._backend.rows(self._connection, self._sql[name], row)


def _settle_row(s: Settlement) -> tuple[object, ...]:
    r = s.recipient
    return (
        str(s.status),
        s.due_at,
        s.attempts,
        s.reason,
        s.host,
        s.egress,
        r.message_id,
        r.n,
        r.attempts,
    )
