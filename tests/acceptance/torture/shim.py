"""What stands between the box's processes and their machine: shim.c, built on the spot, and its levers.

    shim = Shim.build(folder, home)      None where there is no C compiler
    shim.wrap                            in front of the command line of the box
    shim.control.clock_shift_ns = ...    at once, in every process

The layout is that of shim.c; a difference in size is found when the box starts.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).with_name("shim.c")
NO_COMPILER: Final = "the machine's faults need a C compiler: apt-get install gcc libc6-dev"
FILES: Final = 128
RANGES: Final = 4096
VICTIMS: Final = 64


class _Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_int64), ("length", ctypes.c_int64)]


class _File(ctypes.Structure):
    _fields_ = [
        ("inode", ctypes.c_uint64),
        ("pid", ctypes.c_int32),
        ("count", ctypes.c_uint32),
        ("path", ctypes.c_char * 256),
        ("ranges", _Range * RANGES),
    ]


class _Victim(ctypes.Structure):
    _fields_ = [("inode", ctypes.c_uint64), ("pid", ctypes.c_int64)]


class Control(ctypes.Structure):
    """What all processes share: levers, and counters of what happened."""

    _fields_ = [
        ("clock_shift_ns", ctypes.c_int64),
        ("sync_delay_us", ctypes.c_int64),
        ("disk_errno", ctypes.c_int64),
        ("no_space_told", ctypes.c_int64),
        ("syncs_to_fail", ctypes.c_int64),
        ("syncs", ctypes.c_uint64),
        ("slow_syncs", ctypes.c_uint64),
        ("failed_syncs", ctypes.c_uint64),
        ("repeated_syncs", ctypes.c_uint64),
        ("refused_writes", ctypes.c_uint64),
        ("shifted_looks", ctypes.c_uint64),
        ("failing", ctypes.c_char * 64),
        ("home", ctypes.c_char * 512),
        ("victims", _Victim * VICTIMS),
        ("files", _File * FILES),
    ]


@dataclass(frozen=True, slots=True)
class Unflushed:
    """What a process had written to a file and not flushed yet: what a power cut may tear."""

    path: Path
    ranges: tuple[tuple[int, int], ...]


class Shim:
    """The built library and the file it is steered by."""

    def __init__(self, library: Path, levers: Path, home: Path) -> None:
        size, self.levers = ctypes.sizeof(Control), levers
        levers.write_bytes(b"")
        os.truncate(levers, size)
        with levers.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self.control = Control.from_buffer(self._map)
        self.control.home = str(home).encode()
        self.wrap = ("env", f"LD_PRELOAD={library}", f"TORTURE_CONTROL={levers}")

    @classmethod
    def build(cls, folder: Path, home: Path) -> Shim | None:
        """Compile it; None without a compiler, which only CI must have."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            if os.environ.get("CI"):
                pytest.fail(NO_COMPILER)
            return None
        library = folder / "shim.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run([*command, "-lpthread"], check=True)
        return cls(library, folder / "levers", home)

    def unflushed(self, *, pids: set[int] | None = None) -> list[Unflushed]:
        """What these processes (None: all) left behind; forgotten here."""
        found = []
        for file in self.control.files:
            if file.pid and (pids is None or file.pid in pids):
                if 0 < file.count <= RANGES:
                    ranges = tuple((r.offset, r.length) for r in file.ranges[: file.count])
                    found.append(Unflushed(Path(os.fsdecode(file.path)), ranges))
                file.count = file.pid = 0
        return found
