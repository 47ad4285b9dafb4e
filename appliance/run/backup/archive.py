"""Archive: one backup as it lies on a disk.

    DIR/pillarbox-20261121T100000Z/
        backup.json              when, of which box, and how its key is made: not secret
        manifest.sealed          every file with its size and SHA-256, and what was left out
        files/<path>.sealed      each under the path it has in the data directory

A backup that is being made is named `.part`, and gets its name when all of it is on disk: what has the
name is whole. Fails with StoreError or SecretError.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core import clock
from appliance.core.errors import NotFoundError, SecretError, StoreError
from appliance.core.files import flush_folder, in_words, write_new
from appliance.core.sealed import CHUNK, Digest, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1
_NAME: Final = re.compile(r"pillarbox-(\d{8}T\d{6}Z)")
_HEADER: Final = "backup.json"
_MANIFEST: Final = "manifest"
_FILES: Final = "files"


class Kdf(msgspec.Struct, frozen=True, kw_only=True):
    """How the sealing key is made."""

    kind: str  # passphrase | key-file
    salt: bytes


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody may know of a backup."""

    format: int
    created_at: int
    hostname: str
    kdf: Kdf


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the box."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in it."""

    created_at: int
    ended_at: int
    files: tuple[Entry, ...]
    waiting: int  # recipients
    left_out: tuple[str, ...]  # what the box uses, or used, and the backup does not have


def name_at(ms: int) -> str:
    """The name of a backup that begins now."""
    return "pillarbox-" + clock.aware(ms).strftime("%Y%m%dT%H%M%SZ")


def backups_in(folder: Path) -> list[Path]:
    """Whole backups, oldest first."""
    with in_words(folder):
        names = sorted(one.name for one in folder.iterdir()) if folder.exists() else []
    return [folder / name for name in names if _NAME.fullmatch(name)]


class Writer:
    """A backup that is being made."""

    def __init__(self, folder: Path, header: Header, key: bytes) -> None:
        self._target = folder / name_at(header.created_at)
        self._part = folder / f"{self._target.name}.part"
        self._key = key
        self.entries: list[Entry] = []
        with in_words(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._target.exists():
                raise StoreError(f"{self._target} exists already: try again in a second")
            self._part.mkdir(mode=0o700)
        write_new(self._part / _HEADER, msgspec.json.format(msgspec.json.encode(header)))

    def add(self, path: str, chunks: Iterator[bytes]) -> None:
        """Seal a file of the box under its path."""
        target = self._part / _FILES / f"{path}.sealed"
        with in_words(target):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._seal(path, chunks, target)
        self.entries.append(Entry(path=path, size=found.size, sha256=found.sha256))

    def paths(self) -> set[str]:
        """What is in it so far."""
        return {one.path for one in self.entries}

    def finish(self, manifest: Manifest) -> Path:
        """All is in: it gets its name."""
        content = msgspec.json.encode(manifest)
        self._seal(_MANIFEST, iter([content]), self._part / f"{_MANIFEST}.sealed")
        for folder, _, _ in os.walk(self._part):
            flush_folder(Path(folder))
        with in_words(self._part):
            self._part.rename(self._target)
        flush_folder(self._target.parent)
        return self._target

    def abandon(self) -> None:
        """Nothing of it remains."""
        shutil.rmtree(self._part, ignore_errors=True)

    def _seal(self, name: str, chunks: Iterator[bytes], target: Path) -> Digest:
        with in_words(target), target.open("xb") as file:
            found = seal(self._key, name, chunks, file)
            file.flush()
            os.fsync(file.fileno())
        return found


class Reader:
    """A whole backup."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.header = _header(folder)
        self._key = b""

    def open(self, key: bytes) -> Manifest:
        """Take the key; raises SecretError when it is another one."""
        self._key = key
        with self._opened(_MANIFEST, self._folder / f"{_MANIFEST}.sealed") as chunks:
            content = b"".join(chunks)
        manifest = msgspec.json.decode(content, type=Manifest)
        for entry in manifest.files:
            path = PurePosixPath(entry.path)
            if path.is_absolute() or ".." in path.parts:
                raise SecretError(f"the manifest names {entry.path}, which is outside of a box")
        return manifest

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file. Raises SecretError when it is not what it was."""
        with self._opened(entry.path, self._folder / _FILES / f"{entry.path}.sealed") as chunks:
            yield from chunks

    @contextmanager
    def _opened(self, name: str, path: Path) -> Iterator[Iterator[bytes]]:
        with in_words(path), path.open("rb", buffering=CHUNK) as file:
            yield unseal(self._key, name, file)


def _header(folder: Path) -> Header:
    path = folder / _HEADER
    if not path.exists():
        inside = backups_in(folder) if folder.is_dir() else []
        hint = f": the newest in it is {inside[-1]}" if inside else ""
        raise NotFoundError(f"{folder} is no backup{hint}")
    try:
        with in_words(path):
            header = msgspec.json.decode(path.read_bytes(), type=Header)
    except ValueError as error:  # msgspec's are; octets that are no text are told by Python itself
        raise StoreError(f"{path} is damaged: {error}") from error
    if header.format != FORMAT:
        raise StoreError(
            f"{folder} has format {header.format}, this program knows {FORMAT}: take a newer one"
        )
    return header


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete all whole backups but the newest so many, and what was never finished; returns those."""
    gone = backups_in(folder)[:-keep]
    parts = [one for one in folder.glob("pillarbox-*.part") if _NAME.fullmatch(one.stem)]
    for one in (*gone, *parts):
        with in_words(one):
            shutil.rmtree(one)
    return gone
