"""Steady: the time as it would be if nobody had set the clock since the machine started.

    steady = the machine's time since boot + what the wall clock was ahead of it when first looked at

What must not happen twice a day keeps to this clock beside the other (mta/warmup/day.py). The difference
is kept in one file for all processes, with the boot that it belongs to: restarts of processes do not
change it, a reboot makes a new one. Once the wall clock has stood by itself for longer than any day, it
is believed: the difference is taken anew, so that a clock that was put right is not contradicted for ever.

Never fails for want of the file: without it the difference is this process's own.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable

BELIEVED_AFTER: Final = 27 * clock.HOUR
"""The longest day of any zone has 26 hours (Antarctica/Troll)."""

_STEP: Final = clock.SECOND  # clocks that are slewed stay together; more than this is a step
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> int:
    """Milliseconds since the machine started, sleep included; nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def this_boot() -> str:
    """The name of this run of the machine; "" where it has none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class _Apart:
    """The wall clock was stepped: to this difference, at this time since boot."""

    offset: int
    since: int


class SteadyClock:
    """Milliseconds since the epoch, as `clock.now_ms`."""

    def __init__(
        self,
        file: Path,
        *,
        wall: Callable[[], int] = clock.now_ms,
        boot: Callable[[], int] = since_boot,
        boot_id: str | None = None,
    ) -> None:
        self._file, self._wall, self._boot = file, wall, boot
        self._boot_id = this_boot() if boot_id is None else boot_id
        self._apart: _Apart | None = None
        kept = self._read()
        self._offset = wall() - boot() if kept is None else kept
        if kept is None:
            self._write()

    def __call__(self) -> int:
        """The time now."""
        boot = self._boot()
        self._compare(self._wall() - boot, boot)
        return boot + self._offset

    def _compare(self, offset: int, boot: int) -> None:
        """Believe the wall clock once it has gone on by itself for long enough."""
        if abs(offset - self._offset) <= _STEP:
            self._apart = None
        elif self._apart is None or abs(offset - self._apart.offset) > _STEP:
            self._apart = _Apart(offset, boot)
        elif boot - self._apart.since > BELIEVED_AFTER:
            self._offset, self._apart = offset, None
            self._write()

    def _read(self) -> int | None:
        """The difference that another process of this boot took."""
        try:
            boot_id, offset = self._file.read_text("ascii").split()
            return int(offset) if boot_id == self._boot_id else None
        except (OSError, ValueError):
            return None

    def _write(self) -> None:
        if not self._boot_id:
            return
        fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            fresh.write_text(f"{self._boot_id} {self._offset}\n", "ascii")
            fresh.replace(self._file)
        except OSError:
            return  # see above
