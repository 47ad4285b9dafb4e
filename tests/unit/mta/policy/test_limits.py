"""Quotas: exact over all processes, whatever is asked at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import clock
from appliance.core.errors import StoreError
from mta.directory import Tenant
from mta.policy.limits import PORTIONS, SURGE, Bound, Quota, bounds_of, check, give_back, surges
from mta.policy.refusal import Refused
from tests.support.recipients import NOW
from tests.support.submissions import credential

HOUR = Bound(key="credential:3:hour", limit=100, window=clock.HOUR)
TENANT = Tenant(id=7, name="acme")


class Ledger:
    """The one place that counts; slow, as a database is."""

    def __init__(self) -> None:
        self.used: Counter[tuple[str, int]] = Counter()
        self.asked = 0

    async def __call__(self, key: str, window: int, amount: int, limit: int) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        granted = max(0, min(amount, limit - self.used[key, window]))
        self.used[key, window] += granted
        await asyncio.sleep(0)
        return granted


async def test_a_budget_is_spent_to_the_last_and_no_further():
    quota = Quota(Ledger())
    assert [await quota.take(HOUR, 1, NOW) for _ in range(101)] == [True] * 100 + [False]


async def test_what_does_not_fit_spends_nothing():
    quota = Quota(Ledger())
    await quota.take(HOUR, 95, NOW)
    assert not await quota.take(HOUR, 6, NOW)
    assert await quota.take(HOUR, 5, NOW)


async def test_what_could_never_fit_leaves_the_budget_to_other_processes():
    ledger = Ledger()
    assert not await Quota(ledger).take(HOUR, 101, NOW)
    assert await Quota(ledger).take(HOUR, 100, NOW)


async def test_a_process_leases_in_portions_and_not_for_each_message():
    ledger = Ledger()
    quota = Quota(ledger)
    bound = Bound(key="k", limit=10_000, window=clock.HOUR)
    for _ in range(10_000):
        await quota.take(bound, 1, NOW)
    assert ledger.asked == PORTIONS


async def test_the_next_window_starts_anew():
    quota = Quota(Ledger())
    await quota.take(HOUR, 100, NOW)
    assert not await quota.take(HOUR, 1, NOW)
    assert await quota.take(HOUR, 100, NOW + clock.HOUR)


async def test_sessions_that_ask_at_once_lose_nothing_of_the_budget():
    quota = Quota(Ledger())
    found = await asyncio.gather(*(quota.take(HOUR, 1, NOW) for _ in range(150)))
    assert sum(found) == 100


async def test_sessions_that_ask_at_once_share_a_portion():
    """A portion for each of them was most of a budget, kept from the other processes."""
    ledger = Ledger()
    quota = Quota(ledger)
    bound = Bound(key="k", limit=1000, window=clock.HOUR)
    assert all(await asyncio.gather(*(quota.take(bound, 1, NOW) for _ in range(30))))
    assert ledger.used["k", NOW - NOW % clock.HOUR] == 2 * bound.limit // PORTIONS


async def test_whoever_waited_for_anothers_portion_in_vain_asks_for_one():
    class Broken(Ledger):
        async def __call__(self, key, window, amount, limit):
            granted = await super().__call__(key, window, amount, limit)
            if self.asked == 1:
                raise StoreError("locked")
            return granted

    quota = Quota(Broken())
    first, *others = await asyncio.gather(
        *(quota.take(HOUR, 1, NOW) for _ in range(3)), return_exceptions=True
    )
    assert isinstance(first, StoreError)
    assert others == [True, True]


async def test_what_was_spent_during_a_lease_stays_spent():
    quota = Quota(Ledger())
    await quota.take(HOUR, 98, NOW)  # two are left to lease
    await quota.take(HOUR, 1, NOW)
    found = await asyncio.gather(quota.take(HOUR, 2, NOW), quota.take(HOUR, 1, NOW))
    assert found == [False, True]
    assert not await quota.take(HOUR, 1, NOW)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 30), st.integers(0, 2), st.booleans()),
        max_size=60,
    ),
    st.integers(1, 200),
)
def test_the_sum_over_all_processes_never_exceeds_the_limit(requests, limit):
    bound = Bound(key="k", limit=limit, window=clock.HOUR)

    async def run():
        ledger = Ledger()
        processes = [Quota(ledger) for _ in range(4)]
        kept = Counter()

        async def ask(process, amount, hours, returned):
            now = NOW + hours * clock.HOUR
            if await processes[process].take(bound, amount, now):
                if returned:
                    processes[process].give_back(bound, amount, now)
                else:
                    kept[hours] += amount

        await asyncio.gather(*(ask(*request) for request in requests))
        return kept

    assert all(total <= limit for total in asyncio.run(run()).values())


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(20, 300))
def test_one_process_is_refused_only_what_does_not_fit(amounts, limit):
    bound = Bound(key="k", limit=limit, window=clock.HOUR)

    async def run():
        quota, spent = Quota(Ledger()), 0
        for amount in amounts:
            fits = await quota.take(bound, amount, NOW)
            assert fits == (spent + amount <= limit)
            spent += amount if fits else 0

    asyncio.run(run())


async def test_what_is_given_back_can_be_taken_again():
    quota = Quota(Ledger())
    await quota.take(HOUR, 100, NOW)
    quota.give_back(HOUR, 40, NOW)
    assert await quota.take(HOUR, 40, NOW)
    assert not await quota.take(HOUR, 1, NOW)


async def test_what_is_given_back_too_late_does_not_enlarge_the_next_window():
    quota = Quota(Ledger())
    await quota.take(HOUR, 100, NOW)
    await quota.take(HOUR, 100, NOW + clock.HOUR)
    quota.give_back(HOUR, 40, NOW)
    assert not await quota.take(HOUR, 1, NOW + clock.HOUR)


def test_only_limits_that_are_set_bind():
    assert bounds_of(credential(), TENANT) == []
    who = credential(recipients_per_hour=10, recipients_per_day=50)
    found = bounds_of(who, Tenant(id=7, name="acme", recipients_per_day=99))
    assert [(b.key, b.limit, b.window) for b in found] == [
        ("credential:3:hour", 10, clock.HOUR),
        ("credential:3:day", 50, clock.DAY),
        ("tenant:7:day", 99, clock.DAY),
    ]


@pytest.mark.parametrize(
    ("who", "tenant", "words"),
    [
        (
            credential(recipients_per_hour=2),
            TENANT,
            "over quota: 2 recipients an hour; it starts anew at 2026-09-21T15:00:00.000Z",
        ),
        (
            credential(recipients_per_day=2),
            TENANT,
            "over quota: 2 recipients a day; it starts anew at 2026-09-22T00:00:00.000Z",
        ),
        (
            credential(),
            Tenant(id=7, name="acme", recipients_per_day=2),
            "over quota: 2 recipients a day; it starts anew at 2026-09-22T00:00:00.000Z",
        ),
    ],
)
async def test_a_refusal_says_which_limit_and_when_it_starts_anew(who, tenant, words):
    with pytest.raises(Refused) as refused:
        await check(Quota(Ledger()), who, tenant, 3, NOW)
    assert str(refused.value) == words
    assert (refused.value.reply.code, refused.value.reply.enhanced) == (450, "4.7.1")


async def test_a_refusal_takes_nothing_from_the_budgets_that_had_room():
    who = credential(recipients_per_hour=10, recipients_per_day=4)
    quota = Quota(Ledger())
    with pytest.raises(Refused, match="a day"):
        await check(quota, who, TENANT, 5, NOW)
    await check(quota, credential(recipients_per_hour=10), TENANT, 10, NOW)


async def test_a_message_that_was_not_stored_gives_all_its_budgets_back():
    who = credential(recipients_per_hour=5, recipients_per_day=5)
    quota = Quota(Ledger())
    for _ in range(3):
        await check(quota, who, TENANT, 5, NOW)
        give_back(quota, who, TENANT, 5, NOW)


async def test_a_credential_is_held_above_five_times_its_usual_hour():
    who = credential(usual_per_hour=10)
    quota = Quota(Ledger())
    assert not await surges(quota, who, SURGE * 10, NOW)
    assert await surges(quota, who, 1, NOW)
    assert not await surges(quota, who, 1, NOW + clock.HOUR)


@pytest.mark.parametrize(
    "who",
    [credential(usual_per_hour=0), credential(usual_per_hour=1, surge_hold=False)],
)
async def test_a_credential_whose_usual_rate_is_unknown_or_not_watched_is_never_held(who):
    assert not await surges(Quota(Ledger()), who, 1_000_000, NOW)
