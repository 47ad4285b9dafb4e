"""Restore: a box from a backup, in a data directory that is empty.

    files, then stores brought up to date, then each spool made to agree with its late events and with the
    log of the backup, then the configuration and the keys: a home without them is no box, so half a restore never starts

What the log knows as ended is not sent again. Recipients that the log knows and the spool of the backup
does not have (accepted while it was made) are named, and end as `corrupt`. Numbers of events go on a
million higher, so that none meets one that the old box gave out later. The fencing epoch is a new one;
it fences owners on this machine only: nothing here can stop an old box that still runs elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.core.database import open_sync_engine
from appliance.core.errors import ConflictError, StoreError
from appliance.core.files import flush_folder, in_words
from appliance.core.migrate import upgrade
from appliance.history import write_partitions
from appliance.run.backup import late
from appliance.run.backup.files import CONFIG
from appliance.run.witness import LogWitness
from mta.spool.salvage.judge import Judge, NoRemains
from mta.spool.salvage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.core.home import Home
    from appliance.run.backup.archive import Entry, Manifest, Reader

    Progress = Callable[[str, int, int], None]

EVENTS_SKIPPED: Final = 1_000_000
NOT_IN_IT: Final = "accepted while the backup was made, which does not have it"
_SPOOL: Final = re.compile(r"spool-(\d+)\.db")
_LAST: Final = ("secrets/", CONFIG)


@dataclass(slots=True)
class Restored:
    """What the new box begins with."""

    files: int = 0
    messages: int = 0
    waiting: int = 0
    ended: int = 0  # waited in the spool, had ended by the log
    held: int = 0
    losses: list[dict[str, Any]] = field(default_factory=list)


def restore(
    reader: Reader, manifest: Manifest, home: Home, *, hold: bool, progress: Progress
) -> Restored:
    """Put everything back. Raises ConflictError unless the directory is empty."""
    _require_empty(home)
    home.create()
    restored = Restored()
    first = [one for one in manifest.files if not one.path.startswith(_LAST)]
    last = [one for one in manifest.files if one.path.startswith(_LAST)]
    for count, entry in enumerate(first):
        progress("restoring files", count, len(manifest.files))
        _put(reader, entry, home)
    _migrate(home)
    _reconcile(home, manifest, restored, hold=hold, progress=progress)
    for entry in sorted(last, key=lambda one: one.path == CONFIG):
        _put(reader, entry, home)
    for folder, _, _ in os.walk(home.path):
        flush_folder(Path(folder))
    restored.files = len(manifest.files)
    return restored


def _require_empty(home: Home) -> None:
    with in_words(home.path):
        found = sorted(one.name for one in home.path.iterdir()) if home.path.exists() else []
    if found:
        raise ConflictError(
            f"{home.path} is not empty ({', '.join(found[:5])}): a box is restored into an empty"
            " directory only; name another with --home, or move what is there away"
        )


def _put(reader: Reader, entry: Entry, home: Home) -> None:
    path = home.path / entry.path
    counted = hashlib.sha256()
    with in_words(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - takes over the handle
            for chunk in reader.read(entry):
                counted.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    if counted.hexdigest() != entry.sha256:
        raise StoreError(f"{entry.path} is not the file that was backed up: take another backup")


def _migrate(home: Home) -> None:
    """The backup may be an older program's."""
    for kind, paths in (
        ("control", [home.control_db]),
        ("spool", sorted(home.spool_dir.glob("*.db"))),
    ):
        for path in paths:
            engine = open_sync_engine(path)
            try:
                upgrade(kind, engine)
            finally:
                engine.dispose()
    log = write_partitions(home.log_dir)
    try:
        log.open()  # a day that is damaged is set aside, and begins anew
    finally:
        log.close()


def _reconcile(
    home: Home, manifest: Manifest, restored: Restored, *, hold: bool, progress: Progress
) -> None:
    witness = LogWitness(home.log_dir)
    try:
        for path in sorted(home.spool_dir.glob("spool-*.db")):
            name = _SPOOL.fullmatch(path.name)
            assert name is not None
            scratch = Scratch.of(path, int(name.group(1)))
            late.move_events(scratch, home.spool_dir)
            judge = Judge(scratch, witness, home.corrupt_dir, NoRemains(), gone=NOT_IN_IT)
            judged = judge.run(progress)
            restored.messages += judged.messages
            restored.waiting += judged.waiting
            restored.ended += judged.ended
            restored.losses += judged.losses
            if hold:
                restored.held += scratch.hold_all(_why_held(manifest), clock.now_ms())
            scratch.acked = max(scratch.acked, scratch.next_seq) + EVENTS_SKIPPED
            scratch.close("restore", clock.now_ms())
    finally:
        witness.close()


def _why_held(manifest: Manifest) -> str:
    return f"restored from the backup of {clock.iso(manifest.created_at)}: release it, or cancel it"
