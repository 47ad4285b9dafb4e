"""Gather: every row that can still be read in a damaged file, and the place of every content that cannot.

What it finds goes into a store, or nowhere, when somebody only wants to know what is wrong.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from mta.spool import digest
from mta.spool import tables as t
from mta.spool.salvage import cells, shapes
from mta.spool.salvage.cells import NotARowError
from mta.spool.salvage.walk import Found, Walk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Table

    from mta.spool.salvage.cells import Cell
    from mta.spool.salvage.judge import Progress
    from mta.spool.salvage.pages import Pages
    from mta.spool.salvage.shapes import Shape
    from mta.spool.salvage.verdict import Row

_PAGES_A_COMMIT: Final = 200
_OF_A_MESSAGE: Final = (t.message, t.recipient, t.content)


@dataclass(slots=True)
class Damage:
    """What is wrong with the file itself."""

    pages: int = 0  # in all
    damaged: dict[int, str] = field(default_factory=dict)  # those that should hold rows
    log_frames_destroyed: int = 0
    rows_unreadable: int = 0

    @property
    def is_none(self) -> bool:
        """Whether the file is sound."""
        return not (self.damaged or self.log_frames_destroyed or self.rows_unreadable)


class Rows(Protocol):
    """Where what is found goes."""

    def transaction(self) -> AbstractContextManager[None]:
        """Many rows at once."""

    def add(self, table: Table, row: Row) -> None:
        """One row, in the order of its table's columns."""


class Nowhere:
    """Takes rows and forgets them."""

    def transaction(self) -> AbstractContextManager[None]:
        """Nothing is written."""
        return nullcontext()

    def add(self, table: Table, row: Row) -> None:
        """Nothing is kept."""


class Fragments:
    """Contents that are not whole, where they lie in the damaged file (judge.Remains)."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._cells: dict[int, Cell] = {}
        self._doubtful: set[int] = set()

    @property
    def ids(self) -> frozenset[int]:
        """Messages of which there is something."""
        return frozenset(self._cells)

    def of(self, message_id: int) -> bytes | None:
        """The octets that could be read."""
        cell = self._cells.get(message_id)
        if cell is None:
            return None
        size = cell.size - len(cell.local)
        rest = self._pages.part_of_chain(cell.overflow, size) if cell.overflow else b""
        return _data_of(cell.local + rest)

    def is_doubtful(self, message_id: int) -> bool:
        """Whether it was found where it may be old."""
        return message_id in self._doubtful

    def add(self, message_id: int, cell: Cell) -> None:
        """A content that cannot be read whole."""
        self._cells[message_id] = cell

    def doubt(self, message_id: int) -> None:
        """It may be old."""
        self._doubtful.add(message_id)


class Gather:
    """One pass over one file."""

    def __init__(self, pages: Pages, shard: int, rows: Rows) -> None:
        self._pages, self._shard, self._rows = pages, shard, rows
        self.fragments = Fragments(pages)
        self.damage = Damage()

    def run(self, progress: Progress) -> None:
        """Read every page."""
        walk, batch = Walk(self._pages), list[Found]()
        for count, found in enumerate(walk.found()):
            batch.append(found)
            if len(batch) == _PAGES_A_COMMIT:
                self._take(batch)
                batch = []
                progress("reading pages", count, self._pages.count)
        self._take(batch)
        self.damage.pages, self.damage.damaged = self._pages.count, walk.damaged
        self.damage.log_frames_destroyed = self._pages.log.destroyed
        if self._pages.log_is_unreadable:
            self.damage.damaged[0] = "the write-ahead log is destroyed"
        if self._pages.is_cut:
            self.damage.damaged.setdefault(self._pages.count, "the file is cut off within it")

    def _take(self, batch: list[Found]) -> None:
        with self._rows.transaction():
            for found in batch:
                self.damage.rows_unreadable += found.page.unreadable if found.is_sure else 0
                for cell in found.page.cells:
                    shape = shapes.shape_of(cell, found.page.kind)
                    if shape is not None:
                        self._take_row(shape, cell, is_sure=found.is_sure)

    def _take_row(self, shape: Shape, cell: Cell, *, is_sure: bool) -> None:
        row = self._read(shape, cell, is_sure=is_sure)
        if row is not None:
            self._rows.add(shape.table, row)
        elif shape.table is t.content:
            self.fragments.add(cell.rowid, cell)
        if shape.table in _OF_A_MESSAGE and not is_sure:
            self.fragments.doubt(row[0] if row else cell.rowid)

    def _read(self, shape: Shape, cell: Cell, *, is_sure: bool) -> Row | None:
        """The row, if it is the one that was stored."""
        try:
            row = shapes.row_of(shape, cell, self._pages.chain, self._shard)
        except NotARowError:
            row = None
        is_content = row is not None and shape.table is t.content
        if is_content and row and row[2] not in (None, digest.of_content(row[1])):
            row = None
        self.damage.rows_unreadable += row is None and is_sure
        return row


def _data_of(record: bytes) -> bytes:
    """The message within a row of `content` that may be cut off."""
    try:
        start, at = cells.varint(record, 0)
        _, at = cells.varint(record, at)
        serial, _ = cells.varint(record, at)
    except IndexError:
        return b""
    return record[start : start + max(0, serial - 12) // 2]
