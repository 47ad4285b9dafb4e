"""Cells: the rows that stand in one page of an SQLite file; pure.

Strict: a row whose lengths, types or texts do not add up is not a row. What cannot be read is counted,
never guessed. (sqlite.org/fileformat2.html, sections 1.6 and 2.1)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

ReadChain = Callable[[int, int], bytes | None]
"""Octets of the overflow pages from a page on, so many of them; None when the chain is broken."""


class Kind(IntEnum):
    """What the first octet of a page says."""

    INDEX_INNER = 2
    TABLE_INNER = 5
    INDEX_LEAF = 10
    TABLE_LEAF = 13


_KINDS: Final = frozenset(Kind)
_INNER: Final = frozenset({Kind.INDEX_INNER, Kind.TABLE_INNER})
_FIXED: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
_REAL: Final = 7


class NotARowError(ValueError):
    """The octets are not a row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A row as it lies in the page: its octets here, and where they go on."""

    rowid: int  # 0 in an index
    size: int
    local: bytes
    overflow: int  # number of the next page; 0: all is here


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is part of a tree."""

    kind: Kind
    cells: tuple[Cell, ...]
    children: tuple[int, ...]
    unreadable: int  # cells that make no sense


def kind_of(page: bytes, first: int = 0) -> Kind | None:
    """What the page is; None when it belongs to no tree."""
    return Kind(page[first]) if page[first] in _KINDS else None


def read_page(page: bytes, first: int = 0) -> Page:
    """Everything in a page; `first` is 100 in page 1, behind the file's header."""
    kind = kind_of(page, first)
    if kind is None:
        raise NotARowError("the page is of no tree")
    is_inner = kind in _INNER
    (count,) = struct.unpack_from(">H", page, first + 3)
    start = first + (12 if is_inner else 8)
    if start + 2 * count > len(page):
        raise NotARowError("the page has more rows than room")
    cells, children, unreadable = [], [], 0
    for (at,) in struct.iter_unpack(">H", page[start : start + 2 * count]):
        try:
            child, cell = _cell(page, at, kind)
        except (NotARowError, IndexError, struct.error):
            unreadable += 1
            continue
        children += [child] if is_inner else []
        cells += [cell] if cell is not None else []
    if is_inner:
        children.append(struct.unpack_from(">I", page, first + 8)[0])
    return Page(kind, tuple(cells), tuple(children), unreadable)


def _cell(page: bytes, at: int, kind: Kind) -> tuple[int, Cell | None]:
    child = 0
    if kind in _INNER:
        (child,) = struct.unpack_from(">I", page, at)
        at += 4
        if kind is Kind.TABLE_INNER:
            return child, None
    size, at = varint(page, at)
    rowid = 0
    if kind is Kind.TABLE_LEAF:
        rowid, at = varint(page, at)
    local = _local(size, len(page), is_table=kind is Kind.TABLE_LEAF)
    end = at + local
    if end + (4 if local < size else 0) > len(page) or size == 0:
        raise NotARowError("the row does not fit")
    overflow = struct.unpack_from(">I", page, end)[0] if local < size else 0
    return child, Cell(rowid, size, page[at:end], overflow)


def _local(size: int, usable: int, *, is_table: bool) -> int:
    """How many octets of a row of this size lie in the page itself."""
    most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    kept = least + (size - least) % (usable - 4)
    return kept if kept <= most else least


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine octets, and where the next thing begins."""
    value = 0
    for place in range(at, at + 8):
        octet = data[place]
        value = (value << 7) | (octet & 0x7F)
        if octet < 0x80:
            return value, place + 1
    value = (value << 8) | data[at + 8]
    return (value - (1 << 64) if value >= 1 << 63 else value), at + 9


def octets(cell: Cell, chain: ReadChain) -> bytes:
    """The whole of a row. Raises NotARowError when its overflow pages are broken."""
    if not cell.overflow:
        return cell.local
    rest = chain(cell.overflow, cell.size - len(cell.local))
    if rest is None:
        raise NotARowError("an overflow page is gone")
    return cell.local + rest


def columns(record: bytes) -> tuple[Any, ...]:
    """The values of a row."""
    try:
        end, at = varint(record, 0)
        kinds = []
        while at < end:
            kind, at = varint(record, at)
            kinds.append(kind)
    except IndexError:
        raise NotARowError("its header is cut off") from None
    if at != end:
        raise NotARowError("its header has another length")
    values = []
    for kind in kinds:
        value, at = _value(record, at, kind)
        values.append(value)
    if at != len(record):
        raise NotARowError("it has another length")
    return tuple(values)


def _value(record: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind >= 12:
        end = at + (kind - 12) // 2
        raw = record[at:end]
        if end > len(record):
            raise NotARowError("a value is cut off")
        return (raw if kind % 2 == 0 else _text(raw)), end
    size = _FIXED.get(kind)
    if size is None or kind == _REAL or at + size > len(record):
        raise NotARowError("a value of no kind we store")
    if size == 0:
        return (None, 0, 1)[0 if kind == 0 else kind - 7], at
    return int.from_bytes(record[at : at + size], signed=True), at + size


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise NotARowError("a text is not UTF-8") from None
