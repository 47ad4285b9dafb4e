"""WAL: the pages that SQLite's write-ahead log holds, each at its newest committed state.

A frame is believed when its checksum, which goes on from the frame before, is right. SQLite stops at
the first that is not, and loses all behind it. Here the next ones are believed again as soon as the
one before them says from where its checksum goes on: a destroyed page of the log costs at most itself
and its successor, and of those pages an older state stands in, which is told.

What follows the last commit was never acknowledged, and is left out; so is a last transaction with
frames that cannot be believed. It was being written when the power went: each commit is flushed before the
next one begins, and a disk may write the frames of one in any order.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_SIZE: Final = 32
FRAME_HEADER_SIZE: Final = 24
_SECTOR: Final = 512  # octets that a disk writes whole or not at all
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MASK: Final = 0xFFFFFFFF

Sum = tuple[int, int]
Log = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class Wal:
    """What a log holds."""

    page_size: int
    pages: dict[int, bytes]  # by number, at the newest state that can be believed
    old: frozenset[int]  # pages whose newest state is destroyed; not all of them are in `pages`
    destroyed: int  # frames that cannot be believed, with whole commits behind them
    new: frozenset[int] | None = None  # those written since a frame of a page that nobody knows

    def is_old(self, number: int) -> bool:
        """Whether a page may have been written once more, in a frame that is destroyed."""
        return number in self.old or (self.new is not None and number not in self.new)


@dataclass(frozen=True, slots=True)
class _Mark:
    number: int  # of the page; 0 when the header is destroyed
    commits: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    mark: _Mark
    data: bytes

    @property
    def number(self) -> int:
        return self.mark.number

    @property
    def is_valid(self) -> bool:
        return self.mark.is_valid


def page_size_of(log: Log) -> int:
    """The page size that the header names; 0 when there is no header to believe."""
    if len(log) < HEADER_SIZE:
        return 0
    magic, _, size, *_, first, second = _HEADER.unpack_from(log)
    order = _MAGIC.get(magic)
    if order is None or checksum(log[: HEADER_SIZE - 8], (0, 0), order) != (first, second):
        return 0
    return 65536 if size == 1 else size


def read(log: Log) -> Wal:
    """Every page up to the last acknowledged commit."""
    size = page_size_of(log)
    if not size:
        return Wal(0, {}, frozenset(), 0)
    frames = list(_frames(log, size))
    frames = frames[: _acknowledged([one.mark for one in frames])]
    pages: dict[int, bytes] = {}
    old: set[int] = set()
    new: set[int] | None = None
    for frame in frames:
        if frame.is_valid:
            pages[frame.number] = frame.data
            old.discard(frame.number)
            if new is not None:
                new.add(frame.number)
        elif frame.number:
            old.add(frame.number)
        else:
            new = set()
    destroyed = sum(1 for one in frames if not one.is_valid)
    return Wal(size, pages, frozenset(old), destroyed, None if new is None else frozenset(new))


def destroyed_frames(database: Path) -> int:
    """As `destroyed_in`, of the log beside a database; 0 when there is none."""
    with contextlib.suppress(FileNotFoundError), Path(f"{database}-wal").open("rb") as file:
        if os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
                return destroyed_in(log)
    return 0


def destroyed_in(log: Log) -> int:
    """Frames that cannot be believed with whole commits behind them, which SQLite drops without a word.

    Keeps no page of it in memory; 0 for what has no header to believe, and for a log that is merely torn.
    """
    size = page_size_of(log)
    if not size:
        return 0
    marks = [one.mark for one in _frames(log, size)]
    return sum(1 for mark in marks[: _acknowledged(marks)] if not mark.is_valid)


def _acknowledged(marks: list[_Mark]) -> int:
    """How many frames belong to acknowledged transactions."""
    ends = (at for at, mark in enumerate(marks) if mark.is_valid and mark.commits)
    last = max(ends, default=-1)
    before = max((at for at in range(last) if marks[at].commits), default=-1)
    first_bad = next((at for at in range(last) if not marks[at].is_valid), last)
    if before < first_bad < last and _is_one_transaction(marks[before + 1 : last]):
        return before + 1
    return last + 1


def _is_one_transaction(marks: list[_Mark]) -> bool:
    """Within one, all but its last frame are of different pages: a page that is written again takes its frame."""
    numbers = [mark.number for mark in marks if mark.is_valid]
    return len(numbers) == len(set(numbers))


def _frames(log: Log, size: int) -> Iterator[_Frame]:
    """The frames of this generation of the log; of one whose header is destroyed the number is 0."""
    order = _MAGIC[_HEADER.unpack_from(log)[0]]
    salt, before = log[16:24], struct.unpack(">2I", log[24:32])
    step = FRAME_HEADER_SIZE + size
    for at in range(HEADER_SIZE, len(log) - step + 1, step):
        number, after_commit, _, _, *sums = _FRAME.unpack_from(log, at)
        data = log[at + FRAME_HEADER_SIZE : at + step]
        told = (sums[0], sums[1])
        mark = _Mark(0, commits=False, is_valid=False)
        if log[at + 8 : at + 16] == salt:
            is_valid = checksum(data, checksum(log[at : at + 8], before, order), order) == told
            # A torn write may have left the salts, in a sector of their own, and an old start of the header.
            is_whole = is_valid or at % _SECTOR <= _SECTOR - FRAME_HEADER_SIZE
            mark = _Mark(number if is_whole else 0, after_commit > 0 and is_whole, is_valid)
        yield _Frame(mark, data)
        before = told


def checksum(data: bytes, start: Sum, order: str) -> Sum:
    """SQLite's running checksum over pairs of 32-bit words."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one in words:
        first = (first + one + second) & _MASK
        second = (second + next(words) + first) & _MASK
    return first, second
