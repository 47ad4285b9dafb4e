"""A letter that the queue does not take is tried again for a while, and sent once."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.errors import StoreError
from appliance.people.letters import MOST_WAITING, PAUSES, Deferred
from mta.policy.refusal import Refused

LATER = Refused(452, "4.3.1", "no room")
NEVER = Refused(550, "5.1.1", "no such address")
LETTER = ("ann@box.test", "hello", "a link")


class Queue:
    """Answers with what it is told, in turn; then it takes everything."""

    def __init__(self, *answers):
        self.answers, self.asked, self.taken = list(answers), [], []

    async def send(self, to, subject, text, *, key=""):
        self.asked.append(key)
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append((to, subject, text))


async def _over(letters):
    while letters._waiting:
        await asyncio.wait(letters._waiting)


async def test_it_is_tried_again_until_it_is_taken_always_under_the_same_key():
    queue = Queue(StoreError("the owner does not answer"), LATER, LATER)
    letters = Deferred(queue, pauses=(0, 0, 0, 0))
    await letters.send(*LETTER)
    assert queue.taken == []
    await _over(letters)
    assert queue.taken == [LETTER]
    assert (len(queue.asked), len(set(queue.asked)), len(queue.asked[0])) == (4, 1, 32)


async def test_what_is_refused_for_good_is_not_tried_again():
    queue = Queue(NEVER)
    with pytest.raises(Refused):
        await Deferred(queue, pauses=(0,)).send(*LETTER)
    assert len(queue.asked) == 1
    queue = Queue(LATER, NEVER)
    letters = Deferred(queue, pauses=(0, 0, 0))
    await letters.send(*LETTER)
    await _over(letters)
    assert len(queue.asked) == 2


async def test_it_is_given_up_in_some_minutes(caplog):
    queue = Queue(*[LATER] * 20)
    letters = Deferred(queue, pauses=(0, 0))
    await letters.send(*LETTER)
    await _over(letters)
    assert len(queue.asked) == 3
    assert "was not sent" in caplog.text
    assert LETTER[2] not in caplog.text
    assert 120 < sum(PAUSES) < 600


async def test_the_end_of_the_process_is_the_last_try():
    queue = Queue(LATER)
    letters = Deferred(queue, pauses=(1000, 1000))
    await letters.send(*LETTER)
    await letters.settle()
    assert queue.taken == [LETTER]
    queue = Queue(*[LATER] * 20)
    letters = Deferred(queue, pauses=(1000, 1000))
    await letters.send(*LETTER)
    await letters.settle()
    assert (len(queue.asked), letters._waiting) == (2, set())


async def test_so_many_wait_and_not_more(caplog):
    queue = Queue(*[LATER] * (MOST_WAITING + 5))
    letters = Deferred(queue, pauses=(1000,))
    for _ in range(MOST_WAITING + 1):
        await letters.send(*LETTER)
    assert len(letters._waiting) == MOST_WAITING
    assert "wait already" in caplog.text
    await letters.settle()
