"""Shapes: which table a row is of, by its form alone, and whether its values can be true; pure.

A page that nothing leads to does not say what it belongs to. The six tables of a spool differ in the
number and types of their columns, and ids and states say more: a row that passes is one of ours, unless
a flipped bit made another true value of it. The digests find those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Boolean, LargeBinary, Text

from appliance.core import ids
from mta.spool import tables as t
from mta.spool.rows import message_of, recipient_of
from mta.spool.salvage import cells
from mta.spool.salvage.cells import Cell, Kind, NotARowError
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column, Table

    from mta.spool.salvage.cells import ReadChain

Row = tuple[Any, ...]
_KINDS: Final = frozenset(map(str, EventKind))
_LONGEST_ADDRESS: Final = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as its rows lie in the file."""

    table: Table
    has_rowid: bool
    least: int  # columns a row from before the last migrations has
    types: tuple[tuple[type, ...], ...]
    is_true: Callable[[Row, int], bool]

    @property
    def most(self) -> int:
        """Columns a row has today."""
        return len(self.types)


def _types(column: Column[Any]) -> tuple[type, ...]:
    kind: type = int
    if isinstance(column.type, Text):
        kind = str
    elif isinstance(column.type, LargeBinary):
        kind = bytes
    return (kind, type(None)) if column.nullable else (kind,)


def _shape(
    table: Table, is_true: Callable[[Row, int], bool], *, has_rowid: bool, added: int = 0
) -> Shape:
    width = len(table.columns)
    return Shape(table, has_rowid, width - added, tuple(map(_types, table.columns)), is_true)


def _message(row: Row, shard: int) -> bool:
    flags = [row[i] for i, column in enumerate(t.message.columns) if _is_flag(column)]
    message_of(row)
    return ids.shard_of(row[0]) == row[1] == shard and set(flags) <= {0, 1} and row[t.OPEN] >= 0


def _is_flag(column: Column[Any]) -> bool:
    return isinstance(column.type, Boolean)


def _recipient(row: Row, shard: int) -> bool:
    known = recipient_of(row)
    return (
        ids.shard_of(row[0]) == row[2] == shard
        and known.status is not Status.SENDING
        and min(known.n, known.due_at, known.attempts) >= 0
        and known.address.isprintable()
        and len(known.address) < _LONGEST_ADDRESS
    )


def _event(row: Row, shard: int) -> bool:
    is_object = isinstance(msgspec.json.decode(row[6]), dict)
    return row[0] == shard and row[1] > 0 and row[4] in _KINDS and is_object


SHAPES: Final = (
    _shape(t.message, _message, has_rowid=True, added=1),
    _shape(t.recipient, _recipient, has_rowid=False, added=1),
    _shape(t.content, lambda row, shard: ids.shard_of(row[0]) == shard, has_rowid=True, added=1),
    _shape(t.outbox, _event, has_rowid=False),
    _shape(t.idempotency, lambda row, shard: row[2] == shard, has_rowid=True),
    _shape(t.shard, lambda row, shard: row[0] == shard, has_rowid=True),
)
_ADDED: Final[dict[str, Row]] = {"message": (None,), "content": (None,), "recipient": ("",)}


def shape_of(cell: Cell, kind: Kind) -> Shape | None:
    """The table a cell's row is of, from its header alone; None: an index's, or nobody's."""
    has_rowid = kind is Kind.TABLE_LEAF
    try:
        end, at = cells.varint(cell.local, 0)
        types = []
        while at < end:
            serial, at = cells.varint(cell.local, at)
            types.append(_type(serial))
    except IndexError:
        return None
    for shape in SHAPES:
        if shape.has_rowid is has_rowid and _fits(shape, types):
            return shape
    return None


def _type(serial: int) -> type:
    if serial >= 12:
        return bytes if serial % 2 == 0 else str
    return int if serial else type(None)


def _fits(shape: Shape, types: list[type]) -> bool:
    if not shape.least <= len(types) <= shape.most:
        return False
    first = type(None) if _key_is_rowid(shape) else int
    told = zip(types[1:], shape.types[1:], strict=False)
    return types[0] is first and all(one in wanted for one, wanted in told)


def _key_is_rowid(shape: Shape) -> bool:
    return shape.table in (t.message, t.content)


def row_of(shape: Shape, cell: Cell, chain: ReadChain, shard: int) -> Row:
    """The row in the order of the table's columns. Raises NotARowError when its values cannot be true."""
    found = cells.columns(cells.octets(cell, chain))
    if _key_is_rowid(shape):
        found = (cell.rowid, *found[1:])
    if len(found) < shape.most:
        found += _ADDED[shape.table.name]
    try:
        if shape.is_true(found, shard):
            return found
    except (ValueError, TypeError) as error:  # a word that is no state, a text that is no JSON
        raise NotARowError(str(error)) from error
    raise NotARowError("its values cannot be true")
