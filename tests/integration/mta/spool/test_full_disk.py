"""A disk that is really full, at the level of one shard (the whole box: tests/acceptance)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess

import pytest

from appliance.core.errors import StoreFullError
from tests.support.recipients import admitted, recipient, settlement
from tests.support.spools import Fatal, open_shard

CONTENT = b"x" * 100_000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB of its own; needs root."""
    if os.geteuid() != 0:
        words = "a small tmpfs can only be mounted by root: run the tests as root"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place):
    with (place / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


async def accept(shard, *numbers):
    letters = (admitted(number, content=CONTENT) for number in numbers)
    return await asyncio.gather(*(shard.accept(one) for one in letters), return_exceptions=True)


async def settle(shard, numbers, seconds=10):
    """All outcomes, when they are durable."""
    done = asyncio.Semaphore(0)
    for number in numbers:
        shard.settle([settlement(recipient(number))], [], lambda _: done.release())
    async with asyncio.timeout(seconds):
        for _ in numbers:
            await done.acquire()


async def test_a_full_disk_ends_no_process_and_mail_is_taken_when_there_is_space(small_disk):
    fatal = Fatal()
    shard = await open_shard(small_disk, on_fatal=fatal)
    await accept(shard, 1)
    fill(small_disk)
    found = await accept(shard, *range(2, 200))
    assert StoreFullError in {type(answer) for answer in found}
    stored = [n for n, answer in zip(range(2, 200), found, strict=True) if answer is None]
    outcomes = asyncio.ensure_future(settle(shard, [1, *stored]))
    await asyncio.sleep(1.5)
    (small_disk / "ballast").unlink()
    await outcomes
    assert await accept(shard, 500) == [None]
    assert not fatal.called.is_set()
    await shard.close()
