"""Verify: whether a backup can be restored: every file opens and is what it was, every database is sound.

A database is put into a private temporary folder for the moment that it is looked at.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.core.database import sqlite_connect, translated
from appliance.core.errors import SecretError, StoreError
from mta.spool.check import Checked, check
from mta.spool.reading import SpoolReader, SqliteReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.run.backup.archive import Entry, Manifest, Reader

_SPOOL: Final = re.compile(r"spool/spool-(\d+)\.db")


@dataclass(slots=True)
class Verified:
    """What was looked at, and what is wrong."""

    files: int = 0
    octets: int = 0
    messages: int = 0
    wrong: list[str] = field(default_factory=list)


def verify(
    reader: Reader,
    manifest: Manifest,
    progress: Callable[[str, int, int], None],
    temporary: Path | None = None,
) -> Verified:
    """Look at everything; what is wrong is listed, and the rest is looked at all the same."""
    found = Verified()
    with tempfile.TemporaryDirectory(prefix="pillarbox-verify-", dir=temporary) as folder:
        for count, entry in enumerate(manifest.files):
            progress("verifying files", count, len(manifest.files))
            try:
                _one(reader, entry, Path(folder) / "it.db", found)
            except (SecretError, StoreError) as error:
                found.wrong.append(f"{entry.path}: {error}")
    return found


def _one(reader: Reader, entry: Entry, path: Path, found: Verified) -> None:
    is_database = entry.path.endswith(".db")
    counted = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in reader.read(entry):
            counted.update(chunk)
            if is_database:
                file.write(chunk)
    found.files += 1
    found.octets += entry.size
    if counted.hexdigest() != entry.sha256:
        raise StoreError("it is not the file that was backed up")
    if is_database:
        _database(entry, path, found)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _database(entry: Entry, path: Path, found: Verified) -> None:
    with translated():
        connection = sqlite_connect(path)
        try:
            words = [row[0] for row in connection.execute("PRAGMA integrity_check(5)").fetchall()]
        finally:
            connection.close()
    if words != ["ok"]:
        raise StoreError("; ".join(words))
    spool = _SPOOL.fullmatch(entry.path)
    if spool:
        _messages(SpoolReader(SqliteReader(path), int(spool.group(1))), entry, found)


def _messages(reader: SpoolReader, entry: Entry, found: Verified) -> None:
    checked = Checked()
    try:
        flaws = list(check(reader, checked))
    finally:
        reader.close()
    found.messages += checked.messages
    if flaws:
        raise StoreError(f"{len(flaws)} messages in it are not sound: {flaws[0].words}")
