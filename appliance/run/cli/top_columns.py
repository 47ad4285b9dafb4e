"""Columns of `pillarbox top`: cells cut and filled to widths, so that nothing ever wraps; pure.

A terminal counts cells, not characters: a name in Chinese letters takes two for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from appliance.run.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP: Final = 2
LEAST_REST: Final = 16
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """A column; the last one takes what the others leave."""

    title: str
    most: int = 10  # cells, where there is room
    right: bool = False
    from_width: int = 0  # left out on a terminal that is narrower


def widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """As wide as what stands in them, up to `most`; names give way to the last column."""
    *firsts, _ = columns
    found = [
        min(column.most, max(_cells(row[index]) for row in [[c.title for c in columns], *rows]))
        for index, column in enumerate(firsts)
    ]
    for index, column in enumerate(firsts):
        short = LEAST_REST - (width - sum(found) - GAP * len(found))
        if short > 0 and not column.right:
            found[index] = max(len(column.title), found[index] - short)
    return [*found, max(LEAST_REST, width - sum(found) - GAP * len(found))]


def line_of(columns: Sequence[Column], sizes: Sequence[int], cells: Sequence[Cell]) -> Text:
    """One line."""
    line = Text()
    for column, size, cell in zip(columns, sizes, cells, strict=True):
        text = _text(cell)
        text.truncate(size, overflow="ellipsis")
        fill = " " * (size - text.cell_len)
        line.append(" " * GAP if line else "")
        if column.right:
            line.append(fill)
        line.append_text(text)
        if not column.right:
            line.append(fill)
    return line


def _cells(cell: Cell) -> int:
    return _text(cell).cell_len


def _text(cell: Cell) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(printable(cell))
