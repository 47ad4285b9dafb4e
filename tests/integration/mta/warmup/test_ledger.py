"""Reservations of several processes over one record, on both databases: what one process sees and does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from appliance.core.clock import DAY, HOUR, MINUTE, SECOND, from_datetime
from appliance.core.errors import StoreError
from appliance.limits import Budgets
from mta.status import TrafficClass
from mta.warmup.ledger import UNLIMITED, Reservation
from mta.warmup.model import Wait, WarmupState, budget_key
from tests.support.warmup import Process, World, plan

BULK, TRANSACTIONAL = TrafficClass.BULK, TrafficClass.TRANSACTIONAL
MIDNIGHT = from_datetime(datetime(2027, 1, 15, tzinfo=UTC))
KEY = budget_key("a", "google", is_hourly=False)


@pytest.fixture
def world():
    return World(MIDNIGHT + 12 * HOUR, plan(limit=200))


@pytest.fixture
def budgets(engine):
    return Budgets(engine)


@pytest.fixture
def process(world, budgets):
    return Process(world, budgets)


async def used(budgets, window=MIDNIGHT):
    return await budgets.used(KEY, window)


# -- one process -----------------------------------------------------------------


async def test_an_address_without_a_warmup_sends_what_it_likes(world, process, budgets):
    world.set_plan(plan(state=WarmupState.WARM))
    assert process.room() == UNLIMITED
    assert (await process.reserve(500)).count == 500
    world.plans.clear()
    assert process.room() == UNLIMITED
    taken = await process.reserve(500)
    process.give_back(taken, 100)
    assert await used(budgets) == 0


async def test_a_portion_is_leased_and_spent_from_memory(process, budgets):
    first = await process.reserve(1)
    assert (first.count, await used(budgets)) == (1, 20)
    for _ in range(19):
        await process.reserve(1)
    assert await used(budgets) == 20
    await process.reserve(1)
    assert await used(budgets) == 40


async def test_a_large_transaction_gets_what_there_is_but_no_more(world, process, budgets):
    world.set_plan(plan(limit=50))
    assert (await process.reserve(100)).count == 50
    refused = await process.reserve(1)
    assert isinstance(refused, Wait)
    assert refused.why == ("warmup: 203.0.113.7 has used 50 of 50 for Google today; next 00:00 UTC")
    assert refused.until == MIDNIGHT + DAY


async def test_towards_the_end_portions_get_small(world, process, budgets):
    world.set_plan(plan(limit=100))
    await process.reserve(80)
    await process.step()
    await process.reserve(1)
    assert await used(budgets) <= 80 + 3


async def test_what_ended_before_rcpt_may_be_sent_again(process, budgets):
    taken = await process.reserve(200)
    assert isinstance(await process.reserve(1), Wait)
    process.give_back(taken, 30)
    assert (await process.reserve(50)).count == 30
    process.give_back(taken, 0)
    assert isinstance(await process.reserve(1), Wait)


async def test_what_is_given_back_late_goes_to_the_day_it_was_taken_from(world, process, budgets):
    taken = await process.reserve(20)
    world.move(DAY)
    await process.step()
    process.give_back(taken, 15)
    await process.step()
    assert await used(budgets) == 5


async def test_a_portion_that_idles_returns_so_that_others_can_use_it(world, process, budgets):
    other = Process(world, budgets)
    await process.reserve(1)
    assert (await other.reserve(200)).count == 180
    assert isinstance(await other.reserve(1), Wait)
    await process.step()
    assert await used(budgets) == 200
    world.move(2 * SECOND)
    assert await process.step() is False
    assert await used(budgets) == 181
    assert await other.step() is True
    assert (await other.reserve(200)).count == 19


async def test_at_a_clean_end_everything_in_hand_returns(process, budgets):
    await process.reserve(1, BULK)
    await process.reserve(1)
    await process.ledger.close()
    assert await used(budgets) == 2


async def test_two_that_find_the_portion_empty_lease_one_more_not_two(world, budgets):
    process = Process(world, budgets)
    taken = await asyncio.gather(*(process.reserve(1) for _ in range(20)))
    assert sum(one.count for one in taken) == 20
    assert await used(budgets) == 20


async def test_a_pause_lets_nothing_go_and_wakes_when_it_ends(world, process):
    world.set_plan(plan(state=WarmupState.PAUSED, why="listed on a blocklist"))
    for refused in (process.room(), await process.reserve(1)):
        assert refused.why == "warmup: 203.0.113.7 is paused for Google: listed on a blocklist"
    assert await process.step() is False
    world.set_plan(plan())
    assert await process.step() is True
    assert (await process.reserve(1)).count == 1


async def test_a_portion_of_a_larger_limit_is_not_spent_after_a_step_back(world, process, budgets):
    assert (await process.reserve(10)).count == 10
    assert await used(budgets) == 20
    world.set_plan(plan(limit=12))
    await process.step()
    assert await used(budgets) == 10
    assert (await process.reserve(10)).count == 2


async def test_an_hourly_plan_counts_by_itself(world, process, budgets):
    world.set_plan(plan(limit=20))
    await process.reserve(20)
    world.set_plan(plan(limit=30, is_hourly=True))
    assert (await process.reserve(100)).count == 30
    assert isinstance(await process.reserve(1), Wait)
    world.move(HOUR)
    await process.step()
    assert (await process.reserve(100)).count == 30
    assert await used(budgets) == 20


# -- planning --------------------------------------------------------------------


async def test_before_the_first_look_no_more_than_a_portion_is_planned(process):
    assert process.room() == 20
    await process.step()
    assert process.room() == 200


async def test_what_stands_in_lanes_is_not_planned_again(process):
    process.room()
    await process.step()
    process.ledger.promise("a", "google", 150)
    assert process.room() == 50
    process.ledger.promise("a", "google", 50)
    refused = process.room()
    assert isinstance(refused, Wait)
    assert "promised to mail before this one" in refused.why
    assert await process.step() is False
    process.ledger.withdraw("a", "google", 50)
    assert await process.step() is True
    assert process.room() == 50
    process.ledger.withdraw("a", "google", 999)
    assert process.room() == 200


async def test_room_knows_what_others_use(world, process, budgets):
    other = Process(world, budgets)
    process.room()
    await other.reserve(120)
    await process.step()
    assert process.room() == 80
    await other.reserve(100)
    await process.step()
    assert process.room().why.endswith("has used 200 of 200 for Google today; next 00:00 UTC")


async def test_at_midnight_mail_that_waits_is_woken(world, process):
    await process.reserve(200)
    assert isinstance(process.room(), Wait)
    world.at = MIDNIGHT + DAY - 1
    assert await process.step() is False
    world.move(1)
    assert await process.step() is True
    assert process.room() == 200


async def test_people_see_how_it_stands(world, process):
    await process.reserve(30)
    process.ledger.promise("a", "google", 7)
    await process.step()
    [one] = process.ledger.describe(world.at)
    assert (one.used, one.plan.limit, one.open_for_bulk, one.promised) == (30, 200, 81, 7)
    assert (one.window.start, one.window.end) == (MIDNIGHT, MIDNIGHT + DAY)


async def test_plans_that_are_gone_are_forgotten(world, process, budgets):
    await process.reserve(1)
    world.plans.clear()
    await process.step()
    assert await used(budgets) == 1
    assert process.ledger.describe(world.at) == []


# -- classes ---------------------------------------------------------------------


async def test_bulk_mail_waits_for_the_day_and_transactional_mail_does_not(world, process):
    sent = (await process.reserve(200, BULK)).count
    assert sent == 81  # 0.8 * 200 * 12.25 / 24
    refused = await process.reserve(1, BULK)
    assert refused.until <= world.at + 15 * MINUTE
    assert (await process.reserve(500)).count == 200 - 81
    assert (await process.reserve(1, BULK)).until == MIDNIGHT + DAY


async def test_bulk_mail_goes_on_as_the_day_opens(world, process):
    await process.reserve(200, BULK)
    refused = process.room(BULK)
    world.at = refused.until
    assert await process.step() is True
    assert (await process.reserve(200, BULK)).count == 1


async def test_a_sender_of_bulk_mail_alone_uses_its_whole_day_evenly(world, budgets):
    world.at = MIDNIGHT
    process, by_hour = Process(world, budgets), []
    for _ in range(24):
        sent = 0
        for _ in range(12):
            while isinstance(taken := await process.reserve(7, BULK), Reservation):
                sent += taken.count
            world.move(5 * MINUTE)
            await process.step()
        by_hour.append(sent)
    assert sum(by_hour) == 200
    assert max(by_hour[1:17]) <= 8


async def test_what_transactional_mail_used_is_not_open_to_bulk_mail(process):
    await process.reserve(81)
    await process.step()
    assert isinstance(process.room(BULK), Wait)
    assert process.room() == 200 - 81


# -- a store that fails ------------------------------------------------------------


class Failing(Budgets):
    """Its disk is full."""

    fails = False

    async def lease_all(self, key, limits, amount):
        self._check()
        return await super().lease_all(key, limits, amount)

    async def give_back(self, key, window, amount):
        self._check()
        await super().give_back(key, window, amount)

    async def used_of(self, prefix, windows):
        self._check()
        return await super().used_of(prefix, windows)

    def _check(self):
        if self.fails:
            raise StoreError("the database cannot do its work: disk full")


async def test_while_the_store_fails_nothing_is_reserved_and_nothing_is_reserved_twice(
    world, engine
):
    store = Failing(engine)
    process = Process(world, store)
    await process.reserve(15)
    store.fails = True
    with pytest.raises(StoreError):
        await process.reserve(10)
    world.move(2 * SECOND)
    with pytest.raises(StoreError):
        await process.step()  # the portion was on its way back: nobody knows, so it is spent
    store.fails = False
    await process.step()
    assert await used(store) == 20
    assert (await process.reserve(500)).count == 180
