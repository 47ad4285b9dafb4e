"""A letter that waits outlives a process that is killed, and nobody reads it on the disk."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.errors import StoreError
from appliance.core.secrets import MasterKeys
from appliance.people.letters import Deferred
from appliance.run.waiting_letters import WaitingLetters
from mta.policy.refusal import Refused

KEYS = MasterKeys({1: b"k" * 32})
LETTER = ("ann@box.test", "hello", "https://box.test/password/secret-word")


class Queue:
    """Raises what it is told, or takes everything."""

    def __init__(self, error=None):
        self.error, self.taken = error, []

    async def send(self, to, subject, text, *, key=""):
        if self.error is not None:
            raise self.error
        self.taken.append((key, (to, subject, text)))


@pytest.fixture
def kept(tmp_path):
    return WaitingLetters(tmp_path / "letters", KEYS)


async def left_by_a_killed_process(kept):
    letters = Deferred(Queue(StoreError("the owner does not answer")), pauses=(1000,))
    await letters.resume(kept)
    await letters.send(*LETTER)
    for task in letters._waiting:
        task.cancel()
    await asyncio.wait(letters._waiting)
    return kept.waiting()


async def over(letters):
    while letters._waiting:
        await asyncio.wait(letters._waiting)


async def test_the_next_process_sends_it_once_under_the_same_key(kept, tmp_path):
    ((key, letter),) = await left_by_a_killed_process(kept)
    assert tuple(letter) == LETTER
    (file,) = (tmp_path / "letters").iterdir()
    assert b"secret-word" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    queue = Queue()
    letters = Deferred(queue, pauses=(0,))
    await letters.resume(kept)
    await over(letters)
    assert queue.taken == [(key, LETTER)]
    assert kept.waiting() == []


@pytest.mark.parametrize("error", [Refused(550, "5.1.1", "nobody"), StoreError("full")])
async def test_what_is_refused_or_given_up_is_not_kept(kept, error):
    await left_by_a_killed_process(kept)
    letters = Deferred(Queue(error), pauses=(0, 0))
    await letters.resume(kept)
    await over(letters)
    assert kept.waiting() == []


async def test_what_the_end_of_the_process_breaks_off_is_kept(kept):
    letters = Deferred(Queue(StoreError("full")), pauses=(1000,))
    await letters.resume(kept)
    await letters.send(*LETTER)
    await letters.settle()
    assert len(kept.waiting()) == 1


def test_a_torn_file_stops_no_other(kept, tmp_path, caplog):
    kept.keep("whole", LETTER)
    (tmp_path / "letters" / "torn").write_bytes(b"v1:AA")
    assert [key for key, _ in kept.waiting()] == ["whole"]
    assert "torn" in caplog.text
