"""Who asks while others are being written is written with all that came meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter

from appliance.core.errors import StoreError
from appliance.limits import Leases
from appliance.limits.leases import AT_ONCE
from appliance.limits.rules import share_out


class Store:
    """The place that counts, and lets so many transactions through."""

    def __init__(self, lets_through=1000):
        self.used = Counter()
        self.batches = []
        self.gate = asyncio.Semaphore(lets_through)
        self.fault = None

    async def lease_each(self, asks):
        self.batches.append(len(asks))
        await self.gate.acquire()
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        return share_out(asks, self.used)


def _all(leases, number, limit=1000):
    return [asyncio.ensure_future(leases.lease(f"k{n}", 0, 5, limit)) for n in range(number)]


async def test_what_is_asked_meanwhile_is_written_together():
    store = Store()
    assert await asyncio.gather(*_all(Leases(store), 50)) == [5] * 50
    assert store.batches == [1, 49]


async def test_the_same_budget_asked_for_by_many_is_shared_out_in_their_order():
    leases = Leases(Store())
    asked = [leases.lease("k", 0, 40, 100) for _ in range(4)]
    assert await asyncio.gather(*asked) == [40, 40, 20, 0]


async def test_a_transaction_is_bounded():
    store = Store()
    await asyncio.gather(*_all(Leases(store), AT_ONCE + 101))
    assert store.batches == [1, AT_ONCE, 100]


async def test_all_of_a_transaction_that_failed_hear_of_it_and_the_next_ones_go_on():
    store = Store()
    leases = Leases(store)
    store.fault = StoreError("the disk is full")
    found = await asyncio.gather(*_all(leases, 9), return_exceptions=True)
    assert [str(error) for error in found] == ["the disk is full"] * 9
    assert store.batches == [1, 8]
    store.fault = None
    assert await leases.lease("k", 0, 5, 9) == 5


async def test_one_who_is_cut_off_while_writing_for_all_leaves_the_others_theirs():
    store = Store(lets_through=0)
    first, second, *others = _all(Leases(store), 10)
    await asyncio.sleep(0)
    store.gate.release()
    await first
    await asyncio.sleep(0)
    assert store.batches == [1, 9], "the second writes for all who came meanwhile"
    second.cancel()
    await asyncio.wait([second])
    store.gate.release()
    async with asyncio.timeout(30):
        assert await asyncio.gather(*others) == [5] * 8
    assert store.batches == [1, 9, 8]
    assert ("k1", 0) not in store.used


async def test_who_went_away_before_his_turn_is_leased_nothing():
    store = Store(lets_through=0)
    asked = _all(Leases(store), 3)
    await asyncio.sleep(0)
    asked[1].cancel()
    await asyncio.wait(asked[1:2])
    store.gate.release()
    store.gate.release()
    await asyncio.wait(asked)
    assert store.used == {("k0", 0): 5, ("k2", 0): 5}
