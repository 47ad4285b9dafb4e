"""Marks: how somebody who looks several times a second notices that control.db has changed.

A room gives Marks: a statement whose few rows change whenever the room's rows do. All rooms' statements are
read as one, so that a look costs one query whatever there is to look at; `moved` compares two looks.

    standing rows    one that comes, changes or goes is a change (counters, sums over what is open)
    newest rows      the last so many of what only grows: one that is new is a change; if none of the last
                     look is among them, more came than were looked at, and everybody is concerned

Never reads more than a few hundred rows, and tells of a change too much rather than too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import BigInteger, cast, func, literal_column, select, union_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

EVERYBODY: Final = -1
"""In the place of a tenant: it may concern any of them."""

_NOTHING: Final[ColumnElement[Any]] = literal_column("0")
_NO_WORD: Final[ColumnElement[Any]] = literal_column("''")


class Mark(NamedTuple):
    """One row of a look."""

    source: str
    tenant_id: int
    word: str
    number: int
    value: int


class Moved(NamedTuple):
    """Something changed: which room says so, of whom, and what (the room's own word)."""

    source: str
    tenant_id: int
    word: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What a room gives. `newest`: how many rows at most, of what only grows; 0 = rows stand."""

    source: str
    statement: Select[Any]
    newest: int = 0


def row(
    tenant_id: ColumnElement[Any],
    *,
    word: ColumnElement[Any] = _NO_WORD,
    number: ColumnElement[Any] = _NOTHING,
    value: ColumnElement[Any] = _NOTHING,
) -> Select[Any]:
    """The columns of a mark, but for its source."""
    return select(
        tenant_id.label("tenant_id"),
        word.label("word"),
        number.label("number"),
        value.label("value"),
    )


def total(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A sum as a whole number, 0 of nothing; PostgreSQL would make it a decimal."""
    return cast(func.coalesce(func.sum(column), _NOTHING), BigInteger)


def together(every: Iterable[Marks], dialect: Dialect) -> str:
    """All of them as one statement, made once: to put it together costs as much as to ask it."""
    whole = union_all(*(_with_source(one) for one in every))
    return str(whole.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _with_source(one: Marks) -> Select[Any]:
    rows = one.statement.subquery()  # SQLite takes no LIMIT inside a union but within brackets
    return select(literal_column(f"'{one.source}'").label("source"), *rows.c)


async def look(connection: AsyncConnection, statement: str) -> dict[str, frozenset[Mark]]:
    """What stands now, by source."""
    found: dict[str, set[Mark]] = {}
    for each in await connection.exec_driver_sql(statement):
        mark = Mark._make(each)
        found.setdefault(mark.source, set()).add(mark)
    return {source: frozenset(marks) for source, marks in found.items()}


def moved(
    every: Sequence[Marks],
    before: dict[str, frozenset[Mark]],
    after: dict[str, frozenset[Mark]],
) -> set[Moved]:
    """What changed between two looks."""
    changed: set[Moved] = set()
    for one in every:
        old, new = before.get(one.source, frozenset()), after.get(one.source, frozenset())
        if old == new:
            continue
        if one.newest and len(new) >= one.newest and not old & new:
            changed.add(Moved(one.source, EVERYBODY, ""))
        else:
            rows = new - old if one.newest else new ^ old
            changed |= {Moved(one.source, mark.tenant_id, mark.word) for mark in rows}
    return changed
