"""Listings on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.blocklists import Blocklists, ListState, Probe, Sighting, Target
from appliance.core.errors import UsageError
from appliance.core.scope import Scope

WORKER = Scope.system(by="worker")
SEEN = Sighting(
    target=Target(egress="out1", address="9.9.9.9"),
    zone="zen.test",
    codes=("127.0.0.2", "127.0.0.4"),
    text="see https://zen.test/ ✓ ünïcode",
)
USABLE = Probe(state=ListState.USABLE)
REFUSED = Probe(state=ListState.UNUSABLE, why="it does not answer us")


@pytest.fixture
def store(engine, now):
    return Blocklists(engine, now)


async def test_a_listing_that_stands_is_seen_again_and_not_doubled(store, now):
    first = await store.note_listed(WORKER, SEEN)
    assert first.is_new
    assert (first.key, first.codes) == (("out1", "9.9.9.9", "zen.test"), SEEN.codes)
    assert (first.text, first.drained) == (SEEN.text, False)
    now.move(5)
    again = await store.note_listed(WORKER, replace(SEEN, codes=("127.0.0.4",)))
    assert (again.id, again.is_new, again.codes) == (first.id, False, ("127.0.0.4",))
    assert (again.listed_at, again.last_seen_at) == (now.at - 5, now.at)
    assert await store.listings(WORKER) == (again,)


async def test_what_was_delisted_and_listed_anew_is_another_listing(store, now):
    first = await store.note_listed(WORKER, SEEN)
    await store.note_drained(WORKER, first.id)
    now.move(5)
    assert await store.close(WORKER, first.id)
    assert not await store.close(WORKER, first.id)
    second = await store.note_listed(WORKER, SEEN)
    assert second.id > first.id
    assert second.is_new
    assert not second.drained
    gone, left = await store.listings(WORKER, open_only=False)
    assert (gone.id, gone.delisted_at, gone.drained) == (first.id, now.at, True)
    assert left == second


async def test_two_who_look_at_once_make_one_listing(store):
    await asyncio.gather(*(store.note_listed(WORKER, SEEN) for _ in range(6)))
    assert len(await store.listings(WORKER)) == 1


async def test_addresses_and_lists_do_not_share_a_listing(store):
    target = SEEN.target
    for seen in (
        SEEN,
        replace(SEEN, zone="other.test"),
        replace(SEEN, target=replace(target, address="2620:fe::fe")),
        replace(SEEN, target=replace(target, egress="out2")),
    ):
        assert (await store.note_listed(WORKER, seen)).is_new
    assert len(await store.listings(WORKER)) == 4


async def test_it_is_kept_since_when_a_list_is_in_its_state(store, now):
    await store.note_probes(WORKER, {"zen.test": USABLE, "dead.test": REFUSED})
    start = now.at
    now.move(5)
    await store.note_probes(WORKER, {"zen.test": USABLE, "dead.test": USABLE})
    checks = await store.checks(WORKER)
    assert {zone: (one.state, one.checked_at, one.since) for zone, one in checks.items()} == {
        "zen.test": (ListState.USABLE, now.at, start),
        "dead.test": (ListState.USABLE, now.at, now.at),
    }
    await store.note_probes(WORKER, {"dead.test": REFUSED})
    assert (await store.checks(WORKER))["dead.test"].why == REFUSED.why
    await store.note_probes(WORKER, {})


async def test_what_is_over_is_forgotten_after_a_time(store, now):
    old = await store.note_listed(WORKER, SEEN)
    await store.close(WORKER, old.id)
    await store.note_listed(WORKER, SEEN)
    await store.note_probes(WORKER, {"gone.test": USABLE})
    now.move(5)
    await store.note_probes(WORKER, {"zen.test": USABLE})
    await store.forget(WORKER, now.at)
    (left,) = await store.listings(WORKER, open_only=False)
    assert left.id > old.id
    assert list(await store.checks(WORKER)) == ["zen.test"]


async def test_a_tenant_has_no_say(store):
    tenant = Scope.tenant(7)
    for work in (
        store.listings(tenant),
        store.checks(tenant),
        store.note_listed(tenant, SEEN),
        store.note_drained(tenant, 1),
        store.close(tenant, 1),
        store.note_probes(tenant, {}),
        store.forget(tenant, 1),
    ):
        with pytest.raises(UsageError, match="only the box's admin"):
            await work
