"""Whatever happens to clocks, no day of either clock gets more than its budget."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.clock import DAY, HOUR, MINUTE, SECOND, from_datetime
from mta.status import TrafficClass
from mta.warmup.day import GUARD, day_of
from mta.warmup.ledger import Reservation
from tests.support.warmup import MemoryStore, Process, World, plan

BULK, TRANSACTIONAL = TrafficClass.BULK, TrafficClass.TRANSACTIONAL
MIDNIGHT = from_datetime(datetime(2027, 1, 15, tzinfo=UTC))
BERLIN = ZoneInfo("Europe/Berlin")
LIMIT = 137


class Receiver:
    """Counts each RCPT on the day it came, by whichever clock."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.by_wall: Counter[str] = Counter()
        self.by_steady: Counter[str] = Counter()
        self._world, self._dice = world, dice

    def take(self, count: int) -> None:
        """RCPT comes as late after the reservation as it may."""
        late = self._dice.randint(0, GUARD - 5 * SECOND)
        world = self._world
        self.by_wall[day_of(world.at + late, world.zone)] += count
        self.by_steady[day_of(world.steady() + late, world.zone)] += count


async def run(world, minutes, traffic_class, events=(), seed=1, tick=1):
    """Two processes send what they may, tick by tick; clocks are set in the minutes of `events`."""
    store = MemoryStore()
    processes = [Process(world, store) for _ in range(2)]
    receiver, todo = Receiver(world, random.Random(seed)), dict(events)
    for minute in range(0, minutes, tick):
        for due in [one for one in todo if one <= minute]:
            world.set_clock(todo.pop(due))
        for process in processes:
            while isinstance(taken := await process.reserve(9, traffic_class), Reservation):
                receiver.take(taken.count)
        world.move(tick * MINUTE)
        for process in processes:
            await process.step()
    return receiver


def world_at(at: int, **given) -> World:
    return World(at, plan(limit=LIMIT), **given)


@pytest.mark.parametrize("traffic_class", [BULK, TRANSACTIONAL])
async def test_midnight_opens_a_new_budget_and_no_day_gets_more(traffic_class):
    found = await run(world_at(MIDNIGHT - 30 * MINUTE), 26 * 60, traffic_class)
    assert max(found.by_wall.values()) <= LIMIT
    assert found.by_wall["2027-01-15"] >= 0.9 * LIMIT


async def test_what_is_reserved_just_before_midnight_counts_for_the_day_it_may_arrive_on():
    found = await run(world_at(MIDNIGHT - 3 * MINUTE), 24 * 60, TRANSACTIONAL)
    assert max(found.by_wall.values()) <= LIMIT
    assert sum(found.by_wall.values()) == LIMIT


STEPS = {
    "a day ahead": [(60, DAY)],
    "a day back": [(60, -DAY)],
    "ahead and back": [(60, DAY), (120, -DAY)],
    "back and ahead": [(60, -DAY), (300, DAY)],
    "over midnight": [(60, 13 * HOUR)],
    "to and fro over midnight": [(60, 13 * HOUR), (70, -13 * HOUR), (80, 13 * HOUR)],
    "a year ahead and back": [(60, 365 * DAY), (600, -365 * DAY)],
    "often": [(n * 50, n * 7 * HOUR * (-1) ** n) for n in range(1, 20)],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=list(STEPS))
@pytest.mark.parametrize("traffic_class", [BULK, TRANSACTIONAL])
async def test_a_clock_that_is_set_gives_no_day_more_than_its_budget(steps, traffic_class):
    found = await run(world_at(MIDNIGHT + 12 * HOUR), 36 * 60, traffic_class, steps, tick=2)
    assert max(found.by_wall.values()) <= LIMIT
    assert max(found.by_steady.values()) <= LIMIT
    assert sum(found.by_wall.values()) >= LIMIT // 2


one_step = st.tuples(st.integers(0, 1800), st.integers(-40 * HOUR, 40 * HOUR))


@given(st.lists(one_step, max_size=6), st.integers(0, DAY), st.sampled_from([BULK, TRANSACTIONAL]))
@settings(max_examples=25)
def test_no_way_of_setting_the_clock_makes_a_day_longer(steps, begin, traffic_class):
    world = world_at(MIDNIGHT + begin)
    found = asyncio.run(run(world, 30 * 60, traffic_class, steps, seed=begin, tick=4))
    assert max(found.by_wall.values()) <= LIMIT
    assert max(found.by_steady.values()) <= LIMIT


@pytest.mark.parametrize(("day", "hours"), [("2027-03-28", 23), ("2027-10-31", 25)])
async def test_a_day_of_another_length_has_one_budget(day, hours):
    begin = from_datetime(datetime.fromisoformat(day).replace(tzinfo=BERLIN))
    found = await run(world_at(begin - HOUR, zone=BERLIN), (hours + 2) * 60, BULK)
    assert max(found.by_wall.values()) <= LIMIT
    assert found.by_wall[day] >= 0.9 * LIMIT
