"""Tearing: what a power cut does to octets that were written and never flushed, and to no others.

Each such write may be on the disk whole, in part, not at all (as zeros) or as anything in between;
a file's end that was written last may be missing. SQLite's first page keeps its first sector: there old
and new octets are the same where they matter, and a sector is written whole or not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.acceptance.torture.shim import Unflushed

SECTOR: Final = 512
WHOLE_FIRST: Final = 4096


def tear(files: list[Unflushed], dice: random.Random) -> int:
    """Octets that are not what was written any more."""
    return sum(_tear(file.path, file.ranges, dice) for file in files if file.path.exists())


def _tear(path: Path, ranges: tuple[tuple[int, int], ...], dice: random.Random) -> int:
    first = WHOLE_FIRST if path.suffix == ".db" else 0
    torn = 0
    with path.open("r+b") as file:
        for offset, length in ranges:
            start, end = max(offset, first), min(offset + length, os.fstat(file.fileno()).st_size)
            if start < end:
                torn += _tear_write(file.fileno(), start, end, dice)
        torn += _cut(file.fileno(), ranges, dice) if path.name.endswith("-wal") else 0
    return torn


def _tear_write(fd: int, start: int, end: int, dice: random.Random) -> int:
    """From some sector on (or everywhere, or nowhere) zeros or anything."""
    how = dice.choice(("whole", "zeros", "anything", "anything"))
    if how == "whole":
        return 0
    start = min(end - 1, start + SECTOR * dice.randrange((end - start) // SECTOR + 1))
    size = end - start
    os.pwrite(fd, bytes(size) if how == "zeros" else dice.randbytes(size), start)
    return size


def _cut(fd: int, ranges: tuple[tuple[int, int], ...], dice: random.Random) -> int:
    """The end of a log is missing, where that end was not flushed."""
    size = os.fstat(fd).st_size
    ends = {offset + length: offset for offset, length in ranges}
    if size not in ends or dice.random() < 0.5:
        return 0
    left = dice.randrange(ends[size], size)
    os.ftruncate(fd, left)
    return size - left
