"""Dropbox: notices on disk, from their "250" until they were read.

    inbound/new/<id>.eml     one line of JSON (who sent it where, and when), then the message as it came

`put` returns when the file, its name and the folder's entry are on disk: only then may the client hear
250. The id sorts by arrival. Files move between the folders by rename; a crash at any point leaves a
notice where it was or where it goes, so that at worst it is read a second time, which changes nothing.
Drafts (`.draft`) were never acknowledged and are dropped at start. Raises StoreFullError, StoreError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.errors import StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIX: Final = ".eml"
_DRAFT: Final = ".draft"
_TIME_DIGITS: Final = 13  # milliseconds since the epoch, until the year 2286
_MAX_LINE: Final = 1 << 20  # a hundred recipients are 40 KB
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Folder(StrEnum):
    """Where a notice lies; the names of appliance.core.home.INBOUND_FOLDERS."""

    NEW = "new"  # acknowledged, not read yet
    DONE = "done"  # read and acted on; kept for some days
    UNREADABLE = "unreadable"  # for a person, and for later rules; never deleted
    POSTMASTER = "postmaster"  # mail to postmaster@ and abuse@ that is sent on to nobody


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a notice: the JSON line of its file."""

    at: int
    sender: str  # "" for the null sender
    recipients: tuple[str, ...]
    client: str
    port: int = 0
    helo: str = ""
    tls: str = ""
    protocol: str = "SMTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A notice as it was taken in."""

    id: str
    arrived: Arrived
    raw: bytes


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Arrived).decode


class Dropbox:
    """The folders of notices. `root` holds one folder for each Folder; they exist."""

    def __init__(
        self,
        root: Path,
        *,
        min_free: int = 0,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        """`min_free`: octets of the disk that notices leave to the queue, whatever is sent to us."""
        self._root, self._min_free, self._token = root, min_free, token

    def folder(self, which: Folder) -> Path:
        """The folder's path."""
        return self._root / which

    def put(self, arrived: Arrived, raw: bytes) -> str:
        """Keep a notice; its id, once it is safe. Blocks: call it in a thread."""
        notice_id = f"{arrived.at:0{_TIME_DIGITS}d}-{self._token()}"
        draft = self.folder(Folder.NEW) / f"{notice_id}{_DRAFT}"
        try:
            self._check_space(len(raw))
            _write(draft, _encode(arrived) + b"\n", raw)
            draft.rename(self._path(Folder.NEW, notice_id))
            _sync(self.folder(Folder.NEW))
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _in_words(error) from error
        return notice_id

    def waiting(self) -> list[str]:
        """The ids of notices that were not read yet, oldest first."""
        return self.ids(Folder.NEW)

    def ids(self, which: Folder) -> list[str]:
        """The ids in a folder, oldest first."""
        with os.scandir(self.folder(which)) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
        return sorted(name.removesuffix(SUFFIX) for name in names)

    def read(self, notice_id: str, which: Folder = Folder.NEW) -> Item:
        """A notice. Raises ValueError when its file is not one of ours, StoreError when it cannot be read."""
        try:
            content = self._path(which, notice_id).read_bytes()
        except OSError as error:
            raise StoreError(f"notice {notice_id}: {error.strerror}") from error
        end = content.find(b"\n", 0, _MAX_LINE)
        if end < 0:
            raise ValueError("it does not begin with a line of JSON")
        try:
            arrived = _decode(content[:end])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"its first line is not an envelope: {error}") from error
        return Item(id=notice_id, arrived=arrived, raw=content[end + 1 :])

    def move(self, notice_id: str, to: Folder) -> None:
        """Out of `new`. Not synced: a move that a crash undoes is done again."""
        try:
            self._path(Folder.NEW, notice_id).rename(self._path(to, notice_id))
        except OSError as error:
            raise StoreError(f"notice {notice_id}: {error.strerror}") from error

    def forget(self, before: int, limit: int) -> int:
        """Delete notices that were done and arrived before `before`; how many."""
        old = [found for found in self.ids(Folder.DONE) if arrived_at(found) < before][:limit]
        for notice_id in old:
            self._path(Folder.DONE, notice_id).unlink(missing_ok=True)
        return len(old)

    def drop_drafts(self) -> int:
        """Remove what was being written when a process died; nobody was told that it is here."""
        drafts = list(self.folder(Folder.NEW).glob(f"*{_DRAFT}"))
        for draft in drafts:
            draft.unlink(missing_ok=True)
        return len(drafts)

    def _path(self, which: Folder, notice_id: str) -> Path:
        return self.folder(which) / f"{notice_id}{SUFFIX}"

    def _check_space(self, octets: int) -> None:
        if self._min_free:
            disk = os.statvfs(self._root)
            if disk.f_bavail * disk.f_frsize - octets < self._min_free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def arrived_at(notice_id: str) -> int:
    """When a notice arrived; 0 for a file that somebody else named."""
    digits = notice_id[:_TIME_DIGITS]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0


def _write(path: Path, *pieces: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - takes over the handle
        file.writelines(pieces)
        file.flush()
        os.fsync(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _in_words(error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreFullError("no space left for notices: free some, work goes on by itself")
    return StoreError(f"the notice could not be kept: {error.strerror}")
