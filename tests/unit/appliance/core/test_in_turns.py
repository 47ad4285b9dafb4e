"""A long loop lets others go on in between."""

from __future__ import annotations

import asyncio
import gc

from appliance.core import memory, tasks


async def test_others_have_their_turn_after_every_so_many_items():
    seen: list[int] = []
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(seen))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for item in tasks.in_turns(range(10), size=4):
        seen.append(item)  # noqa: PERF401 - one by one is what is looked at
    task.cancel()
    assert seen == list(range(10))
    assert turns == [4, 8]


async def test_a_short_loop_is_not_interrupted():
    other = asyncio.create_task(asyncio.sleep(0))
    assert [item async for item in tasks.in_turns("abc")] == ["a", "b", "c"]
    assert not other.done()
    await other


def test_the_collector_waits_while_undisturbed_and_is_back_after_an_error():
    assert gc.isenabled()
    try:
        with memory.undisturbed():
            assert not gc.isenabled()
            raise ValueError
    except ValueError:
        pass
    assert gc.isenabled()
