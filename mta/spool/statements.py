"""The statements of a spool, written once for every dialect, with the order of their parameters.

A state changes by one conditional UPDATE whose row count is checked: the condition names the
states it may move from, and the attempt it follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import (
    ColumnElement,
    Insert,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from mta.spool import tables as t
from mta.spool.backend import compile_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql import ClauseElement

# Literals, not parameters: only then can both databases use the partial indexes.
WAITING: ColumnElement[bool] = literal_column("status IN ('queued', 'deferred')")
HELD: ColumnElement[bool] = literal_column("status = 'held'")
_DONE: ColumnElement[bool] = literal_column("open = 0")
# Said in words, because SQLite's dialect otherwise adds a parameter of its own for it.
_ZERO: ColumnElement[int] = literal_column("0")

p = bindparam

Statement = tuple["ClauseElement", tuple[str, ...]]
"""A statement, and its parameters in the order in which they are given."""


def _all(table: Table) -> tuple[Insert, tuple[str, ...]]:
    return insert(table), tuple(column.name for column in table.columns)


_m, _r, _o, _s, _c, _k = (
    t.message.c,
    t.recipient.c,
    t.outbox.c,
    t.shard.c,
    t.content.c,
    t.idempotency.c,
)
_queue = (_r.tenant_id, _r.traffic_class, _r.domain, _r.pool)
_one_recipient = and_(_r.message_id == p("b_message"), _r.n == p("b_n"))

STATEMENTS: dict[str, Statement] = {
    "insert_message": _all(t.message),
    "insert_content": _all(t.content),
    "insert_recipient": _all(t.recipient),
    "insert_event": _all(t.outbox),
    "insert_key": _all(t.idempotency),
    "insert_shard": _all(t.shard),
    "settle": (
        update(t.recipient)
        .values(
            status=p("b_status"),
            due_at=p("b_due"),
            attempts=p("b_attempts"),
            reason=p("b_reason"),
            last_host=p("b_host"),
            last_egress=p("b_egress"),
        )
        .where(_one_recipient, _r.attempts == p("b_before"), WAITING),
        (
            "b_status",
            "b_due",
            "b_attempts",
            "b_reason",
            "b_host",
            "b_egress",
            "b_message",
            "b_n",
            "b_before",
        ),
    ),
    "move_waiting": (
        update(t.recipient)
        .values(status=p("b_status"), due_at=p("b_due"), reason=p("b_reason"))
        .where(_one_recipient, WAITING),
        ("b_status", "b_due", "b_reason", "b_message", "b_n"),
    ),
    "move_held": (
        update(t.recipient)
        .values(status=p("b_status"), due_at=p("b_due"), reason=p("b_reason"))
        .where(_one_recipient, HELD),
        ("b_status", "b_due", "b_reason", "b_message", "b_n"),
    ),
    "reroute": (
        update(t.recipient)
        .values(pool=p("b_pool"))
        .where(
            _one_recipient,
            _r.pool != p("b_other"),
            literal_column("status IN ('queued', 'deferred', 'held')"),
        ),
        ("b_pool", "b_message", "b_n", "b_other"),
    ),
    "close": (
        update(t.message)
        .values(
            open=_m.open - p("b_closed"),
            done_at=case((_m.open == p("b_closed2"), p("b_now")), else_=_m.done_at),
        )
        .where(_m.id == p("b_id")),
        ("b_closed", "b_closed2", "b_now", "b_id"),
    ),
    "drop_content": (
        delete(t.content).where(
            _c.message_id == p("b_id"),
            select(_m.id).where(_m.id == _c.message_id, _DONE).exists(),
        ),
        ("b_id",),
    ),
    "claim": (
        update(t.shard)
        .values(epoch=_s.epoch + literal_column("1"), owner=p("b_owner"), beat_at=p("b_now"))
        .where(_s.shard == p("b_shard")),
        ("b_owner", "b_now", "b_shard"),
    ),
    # A read, not an update: it costs no page of the WAL. On PostgreSQL the row lock keeps a new owner
    # out until this batch is committed; SQLite has no other writer (the file is locked).
    "fence": (
        select(_s.epoch).where(_s.shard == p("b_shard")).with_for_update(),
        ("b_shard",),
    ),
    "beat": (
        update(t.shard)
        .values(
            beat_at=p("b_now"), last_id=case((_s.last_id < p("b_id"), p("b_id2")), else_=_s.last_id)
        )
        .where(_s.shard == p("b_shard"), _s.epoch == p("b_epoch")),
        ("b_now", "b_id", "b_id2", "b_shard", "b_epoch"),
    ),
    "beaten": (select(_s.beat_at).where(_s.shard == p("b_shard")), ("b_shard",)),
    "clock_back": (
        update(t.recipient)
        .values(due_at=_r.due_at - p("b_by"))
        .where(
            _r.shard == p("b_shard"),
            _r.due_at > p("b_now"),
            # One that was never tried is due later because its sender wished so, or just came in.
            or_(
                literal_column("status = 'deferred'"),
                and_(literal_column("status = 'queued'"), _r.due_at <= p("b_until")),
            ),
        ),
        ("b_by", "b_shard", "b_now", "b_until"),
    ),
    "shard": (
        select(_s.epoch, _s.last_id, _s.acked_seq).where(_s.shard == p("b_shard")),
        ("b_shard",),
    ),
    "last_seq": (select(func.max(_o.seq)).where(_o.shard == p("b_shard")), ("b_shard",)),
    "last_message": (select(func.max(_m.id)).where(_m.shard == p("b_shard")), ("b_shard",)),
    "waiting": (
        select(*_queue, func.count(), func.min(_r.due_at))
        .where(
            _r.shard == p("b_shard"),
            tuple_(*_queue) > tuple_(p("b_tenant"), p("b_class"), p("b_domain"), p("b_pool")),
            WAITING,
        )
        .group_by(*_queue)
        .order_by(*_queue)
        .limit(p("b_limit", type_=t.recipient.c.n.type))
        .offset(_ZERO),
        ("b_shard", "b_tenant", "b_class", "b_domain", "b_pool", "b_limit"),
    ),
    "due": (
        select(*t.recipient.columns)
        .where(
            _r.shard == p("b_shard"),
            _r.tenant_id == p("b_tenant"),
            _r.traffic_class == p("b_class"),
            _r.domain == p("b_domain"),
            _r.pool == p("b_pool"),
            _r.due_at <= p("b_now"),
            tuple_(_r.due_at, _r.message_id, _r.n) > tuple_(p("b_due"), p("b_message"), p("b_n")),
            WAITING,
        )
        .order_by(_r.due_at, _r.message_id, _r.n)
        .limit(p("b_limit", type_=t.recipient.c.n.type))
        .offset(_ZERO),
        (
            "b_shard",
            "b_tenant",
            "b_class",
            "b_domain",
            "b_pool",
            "b_now",
            "b_due",
            "b_message",
            "b_n",
            "b_limit",
        ),
    ),
    "next_due": (
        # The least alone is the first entry of the index; a count would read a whole backlog.
        select(func.min(_r.due_at)).where(
            _r.shard == p("b_shard"),
            _r.tenant_id == p("b_tenant"),
            _r.traffic_class == p("b_class"),
            _r.domain == p("b_domain"),
            _r.pool == p("b_pool"),
            _r.due_at > p("b_now"),
            WAITING,
        ),
        ("b_shard", "b_tenant", "b_class", "b_domain", "b_pool", "b_now"),
    ),
    "message": (select(*t.message.columns).where(_m.id == p("b_id")), ("b_id",)),
    "content": (select(_c.data, _c.digest).where(_c.message_id == p("b_id")), ("b_id",)),
    "recipients": (
        select(*t.recipient.columns).where(_r.message_id == p("b_id")).order_by(_r.n),
        ("b_id",),
    ),
    "events": (
        select(_o.seq, _o.message_id, _o.n, _o.kind, _o.at, _o.data)
        .where(_o.shard == p("b_shard"), _o.seq > p("b_after"))
        .order_by(_o.seq)
        .limit(p("b_limit", type_=_o.n.type))
        .offset(_ZERO),
        ("b_shard", "b_after", "b_limit"),
    ),
    "events_of": (
        select(_o.seq, _o.message_id, _o.n, _o.kind, _o.at, _o.data)
        .where(_o.shard == p("b_shard"), _o.message_id == p("b_id"))
        .order_by(_o.seq),
        ("b_shard", "b_id"),
    ),
    "drop_events": (
        delete(t.outbox).where(_o.shard == p("b_shard"), _o.seq <= p("b_upto")),
        ("b_shard", "b_upto"),
    ),
    "acknowledge": (
        update(t.shard)
        .values(acked_seq=p("b_upto"))
        .where(_s.shard == p("b_shard"), _s.acked_seq < p("b_upto2")),
        ("b_upto", "b_shard", "b_upto2"),
    ),
    "key": (
        select(_k.message_id).where(
            _k.tenant_id == p("b_tenant"), _k.key == p("b_key"), _k.expires_at > p("b_now")
        ),
        ("b_tenant", "b_key", "b_now"),
    ),
    "drop_old_key": (
        delete(t.idempotency).where(
            _k.tenant_id == p("b_tenant"), _k.key == p("b_key"), _k.expires_at <= p("b_now")
        ),
        ("b_tenant", "b_key", "b_now"),
    ),
    "drop_old_keys": (
        delete(t.idempotency).where(_k.shard == p("b_shard"), _k.expires_at <= p("b_now")),
        ("b_shard", "b_now"),
    ),
    "done": (
        select(_m.id)
        .where(_m.shard == p("b_shard"), _m.done_at <= p("b_before"), _DONE)
        .order_by(_m.done_at)
        .limit(p("b_limit", type_=t.recipient.c.n.type))
        .offset(_ZERO),
        ("b_shard", "b_before", "b_limit"),
    ),
    "drop_message": (delete(t.message).where(_m.id == p("b_id")), ("b_id",)),
    "drop_recipients": (delete(t.recipient).where(_r.message_id == p("b_id")), ("b_id",)),
    "drop_any_content": (delete(t.content).where(_c.message_id == p("b_id")), ("b_id",)),
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """The statements as text for one dialect, by name."""

    text: dict[str, str]
    dialect: Dialect

    def __getitem__(self, name: str) -> str:
        return self.text[name]

    def of_rows(self, name: str, rows: int) -> str:
        """An INSERT of several rows in one statement, made once for each number of rows."""
        key = f"{name} {rows}"
        found = self.text.get(key)
        if found is None:
            head, values, row = self.text[name].rpartition("VALUES ")
            found = self.text[key] = head + values + ", ".join([row] * rows)
        return found


def compile_all(dialect: Dialect, *more: Mapping[str, Statement]) -> Compiled:
    """Compile every statement; a parameter out of order fails here, at start-up."""
    every = [item for statements in (STATEMENTS, *more) for item in statements.items()]
    texts = {name: compile_text(stmt, dialect, order) for name, (stmt, order) in every}
    return Compiled(texts, dialect)
