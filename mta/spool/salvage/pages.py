"""Pages: a damaged spool as numbered pages, the write-ahead log laid over the file.

Reads only; nothing is changed, locked or checkpointed: whoever calls holds the shard's lock.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mta.spool.backend import PAGE_SIZE
from mta.spool.salvage import wal

if TYPE_CHECKING:
    from types import TracebackType

MAGIC: Final = b"SQLite format 3\0"
FILE_HEADER: Final = 100
_SMALLEST, _LARGEST = 512, 65536


class Pages:
    """The pages, from number 1 on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        log_path = Path(f"{path}-wal")
        log = log_path.read_bytes() if log_path.exists() else b""
        self.log = wal.read(log)
        self.has_log = bool(self.log.page_size)
        self.log_is_unreadable = bool(log) and not self.has_log
        start = self._file.read(FILE_HEADER)
        self.size = _header_size(start) or self.log.page_size or PAGE_SIZE
        self._on_disk = -(-os.fstat(self._file.fileno()).st_size // self.size)
        if self.log.page_size not in (0, self.size):
            self.log = wal.read(b"")
        self.count = max([self._on_disk, *self.log.pages, *self.log.old])
        self.is_cut = os.fstat(self._file.fileno()).st_size % self.size != 0

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def has_header(self) -> bool:
        """Whether the first page can be believed."""
        return self.read(1).startswith(MAGIC)

    def is_old(self, number: int) -> bool:
        """Whether the newest state of a page is destroyed, and `read` gives one from before."""
        return self.log.is_old(number)

    def read(self, number: int) -> bytes:
        """One page; what is missing of it, or destroyed, is zero."""
        if number in self.log.pages:
            return self.log.pages[number]
        found = os.pread(self._file.fileno(), self.size, (number - 1) * self.size)
        return found.ljust(self.size, b"\0")

    def chain(self, first: int, size: int) -> bytes | None:
        """So many octets from a chain of overflow pages; None when it is broken, loops or goes on."""
        found = self.part_of_chain(first, size)
        return found if len(found) == size else None

    def part_of_chain(self, first: int, size: int) -> bytes:
        """What can be read of a chain: less than asked for where it breaks off."""
        pieces, number, left = [], first, size
        room = self.size - 4
        for _ in range(-(-size // room)):
            if not 1 < number <= self.count:
                break
            page = self.read(number)
            piece = page[4 : 4 + min(room, left)]
            pieces.append(piece)
            left -= len(piece)
            number = int.from_bytes(page[:4])
        if left == 0 and number != 0:
            pieces.pop()  # the last page is not the last: this is not the chain that was written
        return b"".join(pieces)


def _header_size(header: bytes) -> int:
    """The page size that the file's header names; 0 when it is no header."""
    if not header.startswith(MAGIC):
        return 0
    size = int.from_bytes(header[16:18])
    size = _LARGEST if size == 1 else size
    return size if _SMALLEST <= size <= _LARGEST and size & (size - 1) == 0 else 0
