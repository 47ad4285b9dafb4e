"""Budgets are exact in sum, whoever leases; failures are summed over processes."""

from __future__ import annotations

import asyncio
import sys

import pytest

from appliance.core import clock
from appliance.core.database import open_engine
from appliance.limits import Budgets, LoginFailures
from appliance.limits.rules import Ask


async def test_a_lease_grants_what_is_left_and_then_nothing(engine):
    budgets = Budgets(engine)
    assert [await budgets.lease("k", 0, 40, 100) for _ in range(4)] == [40, 40, 20, 0]
    assert await budgets.used("k", 0) == 100


async def test_a_first_lease_is_bounded_too(engine):
    assert await Budgets(engine).lease("k", 0, 500, 100) == 100


async def test_windows_and_keys_do_not_share(engine):
    budgets = Budgets(engine)
    assert await budgets.lease("k", 0, 9, 9) == 9
    assert await budgets.lease("k", 1, 9, 9) == 9
    assert await budgets.lease("l", 0, 9, 9) == 9


@pytest.mark.parametrize(("amount", "limit"), [(0, 10), (-5, 10), (10, 0), (10, -1)])
async def test_nothing_is_granted_for_nothing(engine, amount, limit):
    assert await Budgets(engine).lease("k", 0, amount, limit) == 0


async def test_a_lowered_limit_grants_nothing_more_and_a_raised_one_does(engine):
    budgets = Budgets(engine)
    await budgets.lease("k", 0, 50, 100)
    assert await budgets.lease("k", 0, 10, 40) == 0
    assert await budgets.lease("k", 0, 100, 120) == 70


async def test_what_is_given_back_can_be_leased_again(engine):
    budgets = Budgets(engine)
    await budgets.lease("k", 0, 100, 100)
    await budgets.give_back("k", 0, 30)
    assert await budgets.lease("k", 0, 100, 100) == 30
    await budgets.give_back("k", 0, 10**6)
    assert await budgets.used("k", 0) == 0


async def test_old_windows_are_forgotten(engine):
    budgets = Budgets(engine)
    await budgets.lease("k", 10, 1, 9)
    await budgets.lease("k", 20, 1, 9)
    await budgets.forget(20)
    assert (await budgets.used("k", 10), await budgets.used("k", 20)) == (0, 1)


WORKER = """
import asyncio, sys
from pathlib import Path
from appliance.core.database import open_engine
from appliance.limits import Budgets

async def main():
    where = sys.argv[1]
    engine = open_engine(where if "://" in where else Path(where))
    budgets = Budgets(engine)
    async def take():
        total = 0
        while granted := await budgets.lease("k", 0, 7, 1000):
            total += granted
        return total
    print(sum(await asyncio.gather(take(), take(), take())))
    await engine.dispose()

asyncio.run(main())
"""


async def three_at_once(script, control_location):
    """The words that three processes print which run the same on one control.db."""
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(control_location), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    return [(await worker.communicate())[0].split() for worker in workers]


async def test_processes_that_lease_at_once_never_pass_the_limit(engine, control_location):
    said = await three_at_once(WORKER, control_location)
    assert sum(int(granted) for (granted,) in said) == 1000
    assert await Budgets(engine).used("k", 0) == 1000


async def test_many_leases_in_one_transaction_grant_what_they_do_one_by_one(engine):
    budgets = Budgets(engine)
    await budgets.lease("a", 1, 95, 100)
    asks = [
        Ask("b", 1, 7, 100),
        Ask("a", 1, 3, 100),
        Ask("a", 1, 3, 100),
        Ask("a", 2, 3, 100),
        Ask("a", 1, 3, 100),
        Ask("c", 1, 0, 100),
        Ask("b", 1, 7, 5),
    ]
    assert await budgets.lease_each(asks) == [7, 3, 2, 3, 0, 0, 0]
    used = await budgets.used_in(list("abc"), {1, 2})
    assert used == {("a", 1): 100, ("a", 2): 3, ("b", 1): 7, ("c", 1): 0}
    assert await budgets.lease_each(asks[1:3]) == [0, 0]
    assert await budgets.lease_each(asks[:1]) == [7]


TOGETHER = """
import asyncio, random, sys
from pathlib import Path
from appliance.core.database import open_engine
from appliance.limits import Budgets, Leases

async def main():
    where = sys.argv[1]
    engine = open_engine(where if "://" in where else Path(where))
    leases = Leases(Budgets(engine))
    async def take(key):
        total = 0
        while granted := await leases.lease(key, 0, 7, 300):
            total += granted
        return total
    keys = ["a", "b", "c"] * 4
    random.shuffle(keys)
    found = await asyncio.gather(*map(take, keys))
    print(*(sum(n for k, n in zip(keys, found) if k == key) for key in "abc"))
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_lease_many_at_once_pass_no_limit_and_block_nobody(
    engine, control_location
):
    said = await three_at_once(TOGETHER, control_location)
    assert [sum(int(numbers[place]) for numbers in said) for place in range(3)] == [300] * 3
    used = await Budgets(engine).used_in(list("abc"), {0})
    assert set(used.values()) == {300}


async def test_a_lease_of_several_windows_takes_what_the_fullest_has_left(engine):
    budgets = Budgets(engine)
    await budgets.lease("k", 1, 95, 100)
    assert await budgets.lease_all("k", {0: 100, 1: 100}, 3) == (3, {0: 3, 1: 98})
    assert await budgets.lease_all("k", {1: 100, 0: 100}, 9) == (2, {0: 5, 1: 100})
    assert await budgets.lease_all("k", {0: 100, 1: 100}, 9) == (0, {0: 5, 1: 100})
    assert await budgets.lease_all("k", {0: 6}, 9) == (1, {0: 6})
    assert await budgets.lease_all("k", {0: 3}, 9) == (0, {0: 6})


async def test_what_is_used_is_told_by_key_and_window(engine):
    budgets = Budgets(engine)
    for key in ("warmup:a:x", "warmup:b:x", "warmupper", "tenant:1:day"):
        await budgets.lease_all(key, {0: 9, 1: 9, 2: 9}, 4)
    assert await budgets.used_of("warmup:", {0, 2}) == {
        ("warmup:a:x", 0): 4,
        ("warmup:a:x", 2): 4,
        ("warmup:b:x", 0): 4,
        ("warmup:b:x", 2): 4,
    }
    assert await budgets.used_of("warmup:", set()) == {}
    asked = await budgets.used_in(["tenant:1:day", "warmup:a:x", "nobody"], {1})
    assert asked == {("tenant:1:day", 1): 4, ("warmup:a:x", 1): 4}


async def test_budgets_of_warmup_are_forgotten_only_by_name(engine):
    budgets = Budgets(engine)
    for key in ("warmup:a:x", "tenant:1:day"):
        await budgets.lease_all(key, {10: 9, 20: 9}, 4)
    await budgets.forget(20)
    assert await budgets.used("tenant:1:day", 10) == 0
    assert await budgets.used("warmup:a:x", 10) == 4
    await budgets.forget(20, prefix="warmup:")
    assert await budgets.used("warmup:a:x", 10) == 0
    assert await budgets.used("warmup:a:x", 20) == 4


OVERLAPPING = """
import asyncio, sys
from pathlib import Path
from appliance.core.database import open_engine
from appliance.limits import Budgets

async def main():
    where = sys.argv[1]
    engine = open_engine(where if "://" in where else Path(where))
    budgets = Budgets(engine)
    async def take(windows):
        total = 0
        while granted := (await budgets.lease_all("k", dict.fromkeys(windows, 300), 7))[0]:
            total += granted
        return total
    print(*await asyncio.gather(take([0]), take([0, 1]), take([2, 1])))
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_lease_overlapping_windows_pass_no_limit_and_block_nobody(
    engine, control_location
):
    said = await three_at_once(OVERLAPPING, control_location)
    only_0, both, late = (sum(int(numbers[place]) for numbers in said) for place in range(3))
    assert only_0 + both == 300
    assert both + late == 300
    used = [await Budgets(engine).used("k", window) for window in range(3)]
    assert used == [only_0 + both, both + late, late]


async def test_failures_are_summed_over_processes(engine, control_location, now):
    fresh = open_engine(control_location)
    one, two = LoginFailures(engine, now), LoginFailures(fresh, now)
    assert await one.add_failures({"user:a": 2, "net:192.0.2.1": 1}) == {
        "user:a": 2,
        "net:192.0.2.1": 1,
    }
    assert await two.add_failures({"user:a": 3}) == {"user:a": 5}
    assert await one.add_failures({"user:a": 0, "user:b": 0}) == {"user:a": 5, "user:b": 0}
    assert await one.add_failures({}) == {}
    await fresh.dispose()


async def test_a_failure_counts_for_ten_minutes(engine, now):
    failures = LoginFailures(engine, now)
    await failures.add_failures({"user:a": 1})
    now.move(9 * clock.MINUTE)
    assert await failures.add_failures({"user:a": 1}) == {"user:a": 2}
    now.move(2 * clock.MINUTE)
    await failures.forget()
    assert await failures.add_failures({"user:a": 0}) == {"user:a": 1}
