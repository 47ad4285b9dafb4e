"""The shim does what it says: each of its faults is seen by a process under it, and counted."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time

import pytest

from tests.acceptance.torture.shim import NO_COMPILER, Shim
from tests.acceptance.torture.tear import tear

HOURS = 3 * 3600


@pytest.fixture
def home(tmp_path):
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def shim(tmp_path, home):
    return Shim.build(tmp_path, home) or pytest.skip(NO_COMPILER)


def under(shim: Shim, home, code: str) -> str:
    """What a Python program under the shim says; it finds its file as `f`, opened for writing."""
    head = "import os, time\nf = os.open('spool-0.db-wal', os.O_RDWR | os.O_CREAT)\n"
    command = [*shim.wrap, sys.executable, "-c", head + code]
    made = subprocess.run(command, cwd=home, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def error_of(action: str) -> str:
    return f"try: {action}\nexcept OSError as error: print(error.errno)\n"


def test_a_flush_fails_once_and_one_more_of_the_same_file_is_seen(shim, home):
    shim.control.failing, shim.control.syncs_to_fail = b"/spool-0.db", 1
    said = under(shim, home, error_of("os.fsync(f)") + "os.fdatasync(f)\nprint('well')")
    assert said.split() == [str(errno.EIO), "well"]
    assert (shim.control.failed_syncs, shim.control.repeated_syncs) == (1, 1)


def test_other_files_do_not_fail(shim, home):
    shim.control.failing, shim.control.syncs_to_fail = b"/spool-1.db", 1
    assert under(shim, home, "os.fsync(f)\nprint('well')") == "well"
    assert shim.control.failed_syncs == 0


def test_the_log_and_the_file_are_told_apart(shim, home):
    shim.control.failing, shim.control.syncs_to_fail = b"/spool-0.db$", 1
    assert under(shim, home, "os.fsync(f)\nprint('well')") == "well"
    shim.control.failing = b"/spool-0.db-wal$"
    assert under(shim, home, error_of("os.fsync(f)")) == str(errno.EIO)


def test_a_full_disk_takes_a_part_and_then_nothing(shim, home):
    shim.control.disk_errno = errno.ENOSPC
    code = "print(os.write(f, bytes(40000)))\n" + error_of("os.pwrite(f, bytes(100), 0)")
    assert under(shim, home, code).split() == ["20000", str(errno.ENOSPC)]
    assert shim.control.refused_writes == 2


def test_a_full_disk_says_that_nothing_is_free(shim, home):
    shim.control.no_space_told = 1
    assert under(shim, home, "import shutil\nprint(shutil.disk_usage('.').free)") == "0"


def test_a_read_only_disk_takes_no_write_and_opens_nothing_for_writing(shim, home):
    (home / "spool-0.db-wal").write_bytes(b"x")
    code = (
        "import ctypes, sys\n"
        f"levers = open({os.fspath(shim.levers)!r}, 'r+b')\n"
        f"levers.seek(16); levers.write(({errno.EROFS}).to_bytes(8, 'little')); levers.flush()\n"
        + error_of("os.write(f, b'x')")
        + error_of(f"os.open({os.fspath(home / 'new')!r}, os.O_WRONLY | os.O_CREAT)")
        + "os.open('spool-0.db-wal', os.O_RDONLY)\nprint('read')"
    )
    assert under(shim, home, code).split() == [str(errno.EROFS), str(errno.EROFS), "read"]


def test_a_slow_disk_is_slow(shim, home):
    shim.control.sync_delay_us = 200_000
    code = "a = time.monotonic()\nos.fsync(f)\nprint(time.monotonic() - a >= 0.2)"
    assert under(shim, home, code) == "True"
    assert shim.control.slow_syncs == 1


@pytest.mark.parametrize("hours", [HOURS, -HOURS])
def test_the_clock_steps_and_the_monotonic_one_does_not(shim, home, hours):
    shim.control.clock_shift_ns = hours * 10**9
    code = (
        "import datetime\nprint(time.time(), time.monotonic(), datetime.datetime.now().timestamp())"
    )
    wall, monotonic, other = map(float, under(shim, home, code).split())
    assert abs(wall - time.time() - hours) < 60
    assert abs(other - time.time() - hours) < 60
    assert abs(monotonic - time.monotonic()) < 60
    assert shim.control.shifted_looks > 0


def test_what_was_not_flushed_is_known_and_nothing_else(shim, home):
    code = (
        "os.pwrite(f, b'a' * 1000, 0)\nos.fsync(f)\n"
        "os.pwrite(f, b'b' * 500, 1000)\nos.lseek(f, 1500, 0)\nos.write(f, b'c' * 20)\n"
        "other = os.open('notes.txt', os.O_RDWR | os.O_CREAT)\nos.write(other, b'not looked at')\n"
    )
    under(shim, home, code)
    found = shim.unflushed()
    assert [(one.path.name, one.ranges) for one in found] == [
        ("spool-0.db-wal", ((1000, 500), (1500, 20)))
    ]
    assert shim.unflushed() == []


def test_only_what_was_not_flushed_is_torn(shim, home):
    torn = 0
    for seed in range(20):
        (home / "spool-0.db-wal").unlink(missing_ok=True)
        code = "os.pwrite(f, b'a' * 5000, 0)\nos.fsync(f)\nos.pwrite(f, b'b' * 9000, 5000)"
        under(shim, home, code)
        torn += tear(shim.unflushed(), random.Random(seed))
        assert (home / "spool-0.db-wal").read_bytes()[:5000] == b"a" * 5000
    assert torn > 9000
