"""Free memory: how much this process could still take before something is killed for it.

The least of what the machine has (MemAvailable: free pages and those the kernel would give up) and what
is left under the limit of each control group around the process (cgroup v2: MemoryMax= of a systemd
unit, the limit of a container). Files cached for a group count as free, as they do for the machine.
On a system without /proc nothing is known and nothing is short.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")
UNKNOWN: Final = sys.maxsize


def available(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Octets that can still be taken; UNKNOWN where nobody can tell."""
    return min((_machine(proc), *_groups(proc, cgroups)))


def _machine(proc: Path) -> int:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return UNKNOWN


def _groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each group around this process has left, from its own to the outermost."""
    entry = next((line for line in _lines(proc / "self/cgroup") if line.startswith("0::")), "")
    own = cgroups / entry[3:].strip().lstrip("/")
    for folder in (own, *own.parents) if entry else ():
        limit = next(_lines(folder / "memory.max"), "max").strip()
        if limit.isdigit():
            yield max(0, int(limit) - _held(folder))
        if folder == cgroups:
            return


def _held(folder: Path) -> int:
    """What a group holds and would not give up: its memory without the file cache."""
    held = int(next(_lines(folder / "memory.current"), "0"))
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("active_file", "inactive_file"):
            held -= int(value)
    return held


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from path.read_text().splitlines()
    except OSError:
        return
