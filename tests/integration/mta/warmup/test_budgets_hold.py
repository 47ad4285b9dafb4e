"""No budget is passed, by not one message: many at once, killed processes, midnight; on both databases."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from datetime import UTC, datetime

import pytest

from appliance.core.clock import DAY, HOUR, MINUTE, SECOND, from_datetime
from appliance.core.database import open_engine
from appliance.limits import Budgets
from mta.status import TrafficClass
from mta.warmup.ledger import Reservation
from mta.warmup.model import budget_key
from tests.support.warmup import Process, World, plan

BULK, TRANSACTIONAL = TrafficClass.BULK, TrafficClass.TRANSACTIONAL
MIDNIGHT = from_datetime(datetime(2027, 1, 15, tzinfo=UTC))
KEY = budget_key("a", "google", is_hourly=False)
LIMIT = 137


@pytest.fixture
def world():
    return World(MIDNIGHT + 12 * HOUR, plan(limit=LIMIT))


@pytest.fixture
async def processes(world, engine, control_location):
    """Two processes with connections of their own."""
    engines = [engine, open_engine(control_location)]
    yield [Process(world, Budgets(one)) for one in engines]
    await engines[1].dispose()


async def send_all(process: Process, dice: random.Random, traffic_class: TrafficClass) -> int:
    """Send until told to wait; some attempts end before RCPT."""
    sent = 0
    while isinstance(
        taken := await process.reserve(dice.randint(1, 5), traffic_class), Reservation
    ):
        unsent = dice.choice((0, 0, 0, taken.count))
        await asyncio.sleep(0)
        process.give_back(taken, unsent)
        sent += taken.count - unsent
    return sent


@pytest.mark.parametrize("seed", range(3))
async def test_many_at_once_reach_the_limit_exactly(world, processes, engine, seed):
    dice, sent = random.Random(seed), 0
    for _ in range(30):  # what one process could not use returns, and the other takes it
        sent += sum(
            await asyncio.gather(
                *(send_all(one, dice, kind) for one in processes for kind in (BULK, TRANSACTIONAL))
            )
        )
        assert sent <= LIMIT
        world.move(2 * SECOND)
        await asyncio.gather(*(one.step() for one in processes))
    assert sent == LIMIT
    assert await Budgets(engine).used(KEY, MIDNIGHT) == LIMIT


async def test_what_a_process_had_in_hand_when_it_died_is_spent_and_no_more(world, engine):
    dice, sent, portion, deaths = random.Random(5), 0, 8, 6
    for _ in range(deaths):
        process = Process(world, Budgets(engine), portion=portion)
        for _ in range(5):
            sent += (await process.reserve(dice.randint(1, 3))).count
    survivor = Process(world, Budgets(engine), portion=portion)
    sent += await send_all(survivor, dice, TRANSACTIONAL)
    await survivor.step()
    sent += await send_all(survivor, dice, TRANSACTIONAL)
    assert LIMIT - deaths * portion <= sent <= LIMIT


SENDER = """
import asyncio, os, sys
from pathlib import Path
from appliance.core.database import open_engine
from appliance.limits import Budgets
from mta.status import TrafficClass
from mta.warmup.model import Wait
from tests.support.warmup import Process, World, plan

async def main():
    where, at = sys.argv[1], int(sys.argv[2])
    engine = open_engine(where if "://" in where else Path(where))
    process = Process(World(at, plan(limit=2000)), Budgets(engine), portion=20, processes=4)
    async def send():
        while not isinstance(await process.reserve(1), Wait):
            os.write(1, b".")
            await asyncio.sleep(0.002)
    await asyncio.gather(*(send() for _ in range(5)))
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_are_killed_while_they_send_pass_no_limit(
    world, control_location, engine
):
    async def start():
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SENDER, str(control_location), str(world.at)),
            stdout=asyncio.subprocess.PIPE,
        )

    killed, sent = 0, 0
    for _ in range(3):
        process = await start()
        sent += len(await process.stdout.readexactly(40))
        process.send_signal(signal.SIGKILL)
        sent += len((await process.communicate())[0])
        killed += 1
    last = [await start() for _ in range(2)]
    sent += sum([len((await one.communicate())[0]) for one in last])
    assert [one.returncode for one in last] == [0, 0]
    in_hand = 20 * (killed + len(last))  # the last ones end without returning what is left
    assert 2000 - in_hand <= sent <= 2000
    assert await Budgets(engine).used(KEY, MIDNIGHT) == 2000


async def test_at_midnight_both_days_are_leased_together(world, processes, engine):
    world.at = MIDNIGHT + DAY - 5 * MINUTE
    sent = sum([await send_all(one, random.Random(7), TRANSACTIONAL) for one in processes])
    budgets = Budgets(engine)
    assert await budgets.used(KEY, MIDNIGHT) == await budgets.used(KEY, MIDNIGHT + DAY) >= sent
    for _ in range(10):
        world.move(MINUTE)
        await asyncio.gather(*(one.step() for one in processes))
        sent += sum([await send_all(one, random.Random(8), TRANSACTIONAL) for one in processes])
    assert sent == LIMIT  # all of it may have been of the new day
    assert await budgets.used(KEY, MIDNIGHT + DAY) == LIMIT
