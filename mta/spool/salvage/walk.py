"""Walk: which pages of a damaged file hold rows that stand, and which only look like it.

From the roots that the schema names every page of a tree can be reached, unless a page on the way is
destroyed: then those below it belong to nobody, and their rows still stand. Free pages look the same,
but what is in them was deleted: it must not come back. The list of free pages tells the two apart; when
that is damaged too, rows of pages that belong to nobody are in doubt, and it is said so. So are rows of
pages of which only an older state is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.spool.salvage import cells
from mta.spool.salvage.cells import Cell, Kind, NotARowError, Page
from mta.spool.salvage.pages import FILE_HEADER, Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA: Final = 1
_ROOT_COLUMN: Final = 3
_SCHEMA_COLUMNS: Final = 5
_TABLE: Final = frozenset({Kind.TABLE_LEAF, Kind.TABLE_INNER})


@dataclass(frozen=True, slots=True)
class Found:
    """A page with rows."""

    number: int
    page: Page
    is_sure: bool  # its rows stand; else they may have been deleted


class Walk:
    """Goes through all pages once; `damaged` fills meanwhile."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.damaged: dict[int, str] = {}
        self._seen: set[int] = set()
        self.free, self.knows_free = self._free_pages()

    def found(self) -> Iterator[Found]:
        """Reachable pages first, so that what is newer comes first; old ones, and those of nobody."""
        doubtful = []
        for root, wanted in self._roots():
            for one in self._tree(root, wanted):
                if one.is_sure:
                    yield one
                else:
                    doubtful.append(one)
        yield from doubtful
        for number in range(1, self._pages.count + 1):
            if number not in self._seen and number not in self.free:
                orphan = self._orphan(number)
                if orphan is not None:
                    is_sure = self.knows_free and not self._pages.is_old(number)
                    yield Found(number, orphan, is_sure=is_sure)

    def _roots(self) -> list[tuple[int, bool]]:
        """Roots of tables and indexes; whether each is a tree of rowids is seen from its first page."""
        if not self._pages.has_header:
            self.damaged[_SCHEMA] = "the header of the file is destroyed"
            self._seen.add(_SCHEMA)
            return []
        roots = []
        for found in self._tree(_SCHEMA, is_table=True):
            for cell in found.page.cells:
                row = self._row(cell)
                if len(row) == _SCHEMA_COLUMNS and isinstance(row[_ROOT_COLUMN], int):
                    roots.append(row[_ROOT_COLUMN])
        return [(root, self._is_table(root)) for root in roots if 1 < root <= self._pages.count]

    def _row(self, cell: Cell) -> tuple[object, ...]:
        try:
            return cells.columns(cells.octets(cell, self._pages.chain))
        except NotARowError:
            return ()

    def _is_table(self, root: int) -> bool:
        return cells.kind_of(self._pages.read(root)) in _TABLE

    def _tree(self, root: int, is_table: bool) -> Iterator[Found]:  # noqa: FBT001 - two kinds of tree
        left = [(root, True)]
        while left:
            number, is_led_to = left.pop()
            if number in self._seen or not 0 < number <= self._pages.count:
                continue
            if self.knows_free and number in self.free:
                continue  # an old page above leads to what was freed since
            page = self._read(number)
            if page is None or (page.kind in _TABLE) != is_table:
                self.damaged[number] = "part of a table or index, and is none"
                self._seen.add(number)
                continue
            self._seen.add(number)
            is_new = is_led_to and not self._pages.is_old(number)
            left += [(child, is_new) for child in page.children[::-1]]
            # What an old page leads to is told from what was freed since by the list of free pages.
            is_sure = is_new or (self.knows_free and not self._pages.is_old(number))
            yield Found(number, page, is_sure=is_sure)

    def _read(self, number: int) -> Page | None:
        try:
            first = FILE_HEADER if number == _SCHEMA else 0
            page = cells.read_page(self._pages.read(number), first)
        except NotARowError:
            return None
        if page.unreadable:
            self.damaged[number] = f"{page.unreadable} of its rows make no sense"
        return page

    def _orphan(self, number: int) -> Page | None:
        """A page that nothing leads to, if it is of a tree; others are overflow, or destroyed."""
        if cells.kind_of(self._pages.read(number)) is None:
            return None
        self._seen.add(number)
        try:
            page = cells.read_page(self._pages.read(number))
        except NotARowError:
            return None
        return page if page.cells else None

    def _free_pages(self) -> tuple[set[int], bool]:
        """The free pages as far as they are listed, and whether that is all of them."""
        if not self._pages.has_header:
            return set(), False
        header = self._pages.read(_SCHEMA)[:FILE_HEADER]
        trunk, wanted = int.from_bytes(header[32:36]), int.from_bytes(header[36:40])
        free, is_new = set[int](), not self._pages.is_old(_SCHEMA)
        while 1 < trunk <= self._pages.count and trunk not in free:
            free.add(trunk)
            is_new = is_new and not self._pages.is_old(trunk)
            page = self._pages.read(trunk)
            count = int.from_bytes(page[4:8])
            if count > self._pages.size // 4 - 2:
                return free, False
            listed = (int.from_bytes(page[8 + 4 * i : 12 + 4 * i]) for i in range(count))
            free |= {number for number in listed if 1 < number <= self._pages.count}
            trunk = int.from_bytes(page[:4])
        return free, len(free) == wanted and is_new
