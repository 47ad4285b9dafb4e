"""Disk: what a flush costs where the relays work, so that figures of two machines can be compared."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDS: Final = 200
_BLOCK: Final = bytes(4096)


def probe(work: Path) -> dict[str, float]:
    """Median µs of appending 4 KB and fdatasync, and of creating a file, fsync and rename."""
    appended, created = [], []
    file = work / "probe"
    with file.open("ab", buffering=0) as out:
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            out.write(_BLOCK)
            os.fdatasync(out.fileno())
            appended.append(time.perf_counter() - started)
    for number in range(_ROUNDS):
        started = time.perf_counter()
        with file.open("wb", buffering=0) as out:
            out.write(_BLOCK)
            os.fsync(out.fileno())
        file.rename(work / f"probe-{number}")
        created.append(time.perf_counter() - started)
    for left in work.glob("probe*"):
        left.unlink()
    return {
        "append_fdatasync": round(statistics.median(appended) * 1e6, 1),
        "create_fsync_rename": round(statistics.median(created) * 1e6, 1),
    }
