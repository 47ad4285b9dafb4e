"""Content that is read back to be sent: how much is held at once, and who waits for how long."""

from __future__ import annotations

import asyncio
import random

import pytest

from mta.scheduling.parcel import Parcel
from mta.scheduling.read_back import ReadBack
from mta.scheduling.window import READ_SHARE, Window
from mta.status import TrafficClass
from tests.support.recipients import message, recipient


def letter(number=1, size=400, **changes):
    return message(number, size=size, **changes)


async def asked(read_back, wanted):
    """Somebody who waits for room, or has it."""
    task = asyncio.ensure_future(read_back.take(wanted, 1))
    await asyncio.sleep(0)
    return task


async def soon(task):
    async with asyncio.timeout(10):
        return await task


@pytest.fixture
def read_back():
    return ReadBack(lambda: 1000)


async def test_what_fits_is_let_in_at_once_and_the_rest_when_room_is_given_back(read_back):
    first, second, third = [await asked(read_back, letter(n)) for n in range(3)]
    assert [one.done() for one in (first, second, third)] == [True, True, False]
    assert (first.result(), read_back.held, read_back.is_waited_for) == (False, 800, True)
    read_back.give(letter())
    assert await soon(third) is True
    assert (read_back.held, read_back.is_waited_for) == (800, False)


async def test_one_that_is_larger_than_all_the_room_goes_by_itself(read_back):
    small = await asked(read_back, letter(1))
    huge = await asked(read_back, letter(2, size=5000))
    behind = await asked(read_back, letter(3))
    assert not huge.done()
    read_back.give(letter(1))
    await soon(huge)
    assert small.done()
    assert not behind.done()
    read_back.give(letter(2, size=5000))
    await soon(behind)
    assert read_back.held == 400


async def test_a_large_one_that_waits_is_not_passed_by_small_ones_for_ever(read_back):
    await asked(read_back, letter(1))
    large = await asked(read_back, letter(2, size=900))
    small = await asked(read_back, letter(3, size=10))
    assert not small.done()
    read_back.give(letter(1))
    assert await soon(large) is True
    assert await soon(small) is True


async def test_a_receipt_passes_bulk_mail_that_waits(read_back):
    full = letter(1, size=1000)
    await asked(read_back, full)
    bulk = await asked(read_back, letter(2, traffic_class=TrafficClass.BULK, size=900))
    receipt = await asked(read_back, letter(3, size=900))
    read_back.give(full)
    await soon(receipt)
    assert not bulk.done()
    bulk.cancel()


async def test_whoever_is_cancelled_while_it_waits_leaves_its_place_to_those_behind(read_back):
    await asked(read_back, letter(1))
    large = await asked(read_back, letter(2, size=900))
    small = await asked(read_back, letter(3))
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    assert await soon(small) is True
    assert read_back.held == 800


async def test_whoever_is_cancelled_as_its_room_comes_gives_it_back(read_back):
    full = letter(1, size=1000)
    await asked(read_back, full)
    waiting = await asked(read_back, letter(2))
    read_back.give(full)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert (read_back.held, read_back.is_waited_for) == (0, False)


async def test_those_who_were_cancelled_behind_the_first_keep_nobody_waiting(read_back):
    full = letter(1, size=1000)
    await asked(read_back, full)
    first, gone = [await asked(read_back, letter(n)) for n in (2, 3)]
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    read_back.give(full)
    await soon(first)
    assert (await asked(read_back, letter(4))).done()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_and_whoever_is_cancelled_all_get_room_and_no_more_than_there_is(seed):
    dice, most = random.Random(seed), 1000
    read_back = ReadBack(lambda: most)
    holding = []

    async def attempt(wanted):
        await read_back.take(wanted, 1)
        holding.append(wanted.size)
        try:
            assert len(holding) == 1 or sum(holding) <= most
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
        finally:
            holding.remove(wanted.size)
            read_back.give(wanted)

    attempts = [
        asyncio.ensure_future(
            attempt(
                letter(
                    n,
                    size=dice.choice((1, 100, 600, 5000)),
                    tenant_id=dice.randrange(3),
                    traffic_class=dice.choice(list(TrafficClass)),
                )
            )
        )
        for n in range(200)
    ]
    while not all(one.done() for one in attempts):
        dice.choice(attempts).cancel()
        await asyncio.sleep(0)
    assert all(one.cancelled() or one.exception() is None for one in attempts)
    assert (read_back.held, read_back.is_waited_for, holding) == (0, False, [])


def ready(window, number, size):
    """A parcel whose content is in memory."""
    parcel = Parcel(letter(number, size=size), [recipient(number)], b"x" * size)
    assert window.admits(parcel.content)
    window.add(parcel)
    return parcel


async def test_ready_mail_that_nobody_takes_leaves_room_for_what_is_read_back():
    window = Window(max_recipients=10, max_bytes=1000)
    ready(window, 1, 750)
    assert not window.admits(b"x")
    assert (await asked(window.read_back, letter(2, size=1000 // READ_SHARE))).done()
    assert window.held_bytes + window.read_back.held == 1000


async def test_what_is_read_back_takes_the_room_that_ready_mail_leaves_and_keeps_it_from_others():
    window = Window(max_recipients=10, max_bytes=1000)
    stands = ready(window, 1, 400)
    first = await asked(window.read_back, letter(2, size=600))
    second = await asked(window.read_back, letter(3, size=300))
    assert (first.done(), second.done()) == (True, False)
    assert not window.admits(b"x")
    window.drop_content(stands)
    assert await soon(second) is True
    assert window.admits(b"x" * 100)
    assert not window.admits(b"x" * 101)
