"""The statements that write the log, written once for both databases, with their parameters' order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from appliance.history import tables as t
from mta.spool.backend import compile_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql import ClauseElement

p = bindparam
_r, _e, _p, _j = t.recipient.c, t.event.c, t.progress.c, t.journal.c
# In words: given as values, each dialect would add parameters of its own for them.
_NOTHING: ColumnElement[str] = literal_column("''")
_ZERO: ColumnElement[int] = literal_column("0")
_one = and_(_r.message_id == p("b_message"), _r.n == p("b_n"))
_this = and_(_p.day == p("b_day"), _p.shard == p("b_shard"))

_TRIED = ("status", "status_at", "attempts", "reply", "host", "egress", "tls", "category")

CHANGES: dict[str, tuple[ClauseElement, tuple[str, ...]]] = {
    "tried": (
        update(t.recipient)
        .values(
            **{name: p(f"b_{name}") for name in _TRIED},
            flags=_r.flags.bitwise_or(p("b_flags")),
        )
        .where(_one),
        (*(f"b_{name}" for name in _TRIED), "b_flags", "b_message", "b_n"),
    ),
    "moved": (
        update(t.recipient)
        .values(
            status=func.coalesce(func.nullif(p("b_status"), _NOTHING), _r.status),
            status_at=case((p("b_moved") > _ZERO, p("b_at")), else_=_r.status_at),
            reply=func.coalesce(func.nullif(p("b_reply"), _NOTHING), _r.reply),
            flags=_r.flags.bitwise_or(p("b_flags")),
        )
        .where(_one),
        ("b_status", "b_moved", "b_at", "b_reply", "b_flags", "b_message", "b_n"),
    ),
    "progress": (select(_p.seq).where(_this), ("b_day", "b_shard")),
    "advance": (
        update(t.progress).values(seq=p("b_seq")).where(_this),
        ("b_seq", "b_day", "b_shard"),
    ),
    "known": (
        select(_e.seq).where(
            _e.message_id == p("b_message"), _e.n == p("b_n"), _e.seq == p("b_seq")
        ),
        ("b_message", "b_n", "b_seq"),
    ),
    "last_position": (
        select(func.max(_j.position)).where(_j.message_id >= p("b_lo"), _j.message_id < p("b_hi")),
        ("b_lo", "b_hi"),
    ),
}

INSERTS = {
    "insert_recipient": t.recipient,
    "insert_tag": t.tag,
    "insert_event": t.event,
    "insert_journal": t.journal,
    "insert_progress": t.progress,
    "insert_rejected": t.rejected,
}


def compile_writes(dialect: Dialect) -> dict[str, str]:
    """Every statement as text for the database; a parameter out of order fails here, at the start."""
    texts = {name: compile_text(stmt, dialect, order) for name, (stmt, order) in CHANGES.items()}
    for name, table in INSERTS.items():
        order = tuple(column.name for column in table.columns)
        texts[name] = compile_text(_insert_if_new(table, dialect), dialect, order)
    return texts


def _insert_if_new(table: Table, dialect: Dialect) -> ClauseElement:
    """What a batch brings again is no error: it must not stop the events behind it."""
    make: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement: ClauseElement = make(table).on_conflict_do_nothing()
    return statement
