"""The counters of control.db are asked for only where something may have moved them."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import generations as module
from appliance.core.control import Part, change
from appliance.core.errors import StoreError
from appliance.core.generations import ASK_SECONDS, Generations


@pytest.fixture
def asked(monkeypatch):
    """How often the database was asked."""
    count, real = [], module.generations

    async def counting(connection):
        count.append(1)
        return await real(connection)

    monkeypatch.setattr(module, "generations", counting)
    return count


@pytest.fixture
def steady(monkeypatch):
    """Seconds on the process's clock, set by the test."""
    at = [1000.0]
    monkeypatch.setattr(module.clock, "monotonic", lambda: at[0])
    return at


async def move(engine, part):
    async with change(engine, part):
        pass


async def quiet(engine):
    """Wait until the file's date is no longer of this moment."""
    del engine
    await asyncio.sleep(2 * module._TICK_MS / 1000)


async def test_a_change_is_seen_at_the_next_look(engine, steady):
    counters = Generations(engine)
    before = (await counters.look())[Part.DOMAINS]
    for step in range(1, 4):  # at once, within a tick of the file system's clock
        await move(engine, Part.DOMAINS)
        assert (await counters.look())[Part.DOMAINS] == before + step
    await quiet(engine)
    assert (await counters.look())[Part.DOMAINS] == before + 3
    await move(engine, Part.DOMAINS)
    assert (await counters.look())[Part.DOMAINS] == before + 4
    await quiet(engine)
    await counters.look()
    await move(engine, Part.DOMAINS)
    await quiet(engine)  # nobody looked while it was new
    assert (await counters.look())[Part.DOMAINS] == before + 5


async def test_a_file_that_nobody_writes_to_is_not_asked(engine, steady, asked):
    await move(engine, Part.KEYS)
    await quiet(engine)
    counters = Generations(engine)
    first = await counters.look()
    for _ in range(9):
        assert await counters.look() == first
    assert len(asked) == (1 if engine.dialect.name == "sqlite" else 10)


async def test_it_is_asked_once_a_second_whatever_the_file_says(engine, steady, asked):
    await move(engine, Part.KEYS)
    await quiet(engine)
    counters = Generations(engine)
    for _ in range(3):
        await counters.look()
        steady[0] += ASK_SECONDS
    assert len(asked) == 3


async def test_what_could_not_be_asked_is_asked_again(engine, steady, asked, monkeypatch):
    await move(engine, Part.KEYS)
    await quiet(engine)
    counters, works = Generations(engine), module.generations

    async def fails(connection):
        raise StoreError("the disk is slow")

    monkeypatch.setattr(module, "generations", fails)
    with pytest.raises(StoreError):
        await counters.look()
    monkeypatch.setattr(module, "generations", works)
    assert await counters.look()
    assert len(asked) == 1
