"""Corrupt: what was lost, set aside under the message's id, for a person; never deleted, never overwritten.

corrupt/ID.json                   whose message it was, its recipients and what is wrong
corrupt/ID.eml                    its bytes, as far as they could be read
corrupt/spool-0.db.TIME, -wal     the damaged files as they were
corrupt/repair-TIME.json          all of it in one list
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core import clock, ids
from appliance.core.files import flush_folder, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from mta.spool.salvage.verdict import Loss, Row

SUFFIXES: Final = ("-wal", "-shm", "")
"""The log goes before the file: a log must never meet a file that it was not written for."""

_REPAIRED: Final = ".repaired"


def stamp_of(now: int) -> str:
    """A time as it stands in names of files."""
    return clock.aware(now).strftime("%Y%m%dT%H%M%SZ")


def repaired(path: Path) -> Path:
    """Where the new store stands once it is complete."""
    return path.with_name(path.name + _REPAIRED)


def finish_repair(path: Path, folder: Path) -> None:
    """Put a complete new store in the place of the damaged one; after a crash it goes on where it was."""
    new = repaired(path)
    if not new.exists():
        return
    stamp = stamp_of(clock.now_ms())
    for suffix in SUFFIXES:
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(_free(folder, f"{old.name}.{stamp}"))
    flush_folder(folder)
    new.rename(path)
    flush_folder(path.parent)


def set_aside(
    folder: Path, loss: Loss, message: Row | None, content: bytes | None
) -> dict[str, Any]:
    """Write what is known of a lost message; returns it."""
    name = ids.to_text(loss.message_id)
    told: dict[str, Any] = {
        "id": name,
        "accepted_at": ids.time_of(loss.message_id),
        "tenant_id": loss.tenant_id,
        "sender": loss.sender,
        "message_id": message[8] if message else "",
        "subject": message[9] if message else "",
        "size": message[10] if message else 0,
        "recipients": [
            {"n": one.n, "address": one.address, "status": one.status, "why": one.why}
            for one in loss.recipients
        ],
        "octets_kept": len(content or b""),
    }
    if content:
        write_new(_free(folder, f"{name}.eml"), content)
    write_new(_free(folder, f"{name}.json"), msgspec.json.format(msgspec.json.encode(told)))
    return told


def write_report(folder: Path, stamp: str, report: dict[str, Any]) -> Path:
    """The list of all."""
    path = _free(folder, f"repair-{stamp}.json")
    write_new(path, msgspec.json.format(msgspec.json.encode(report)))
    flush_folder(folder)
    return path


def _free(folder: Path, name: str) -> Path:
    """A name that nothing has yet."""
    stem, dot, suffix = name.rpartition(".")
    path, number = folder / name, 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}.{number}{dot}{suffix}"
    return path
