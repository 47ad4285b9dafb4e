"""Who hears what, once, and how much is kept of it."""

from __future__ import annotations

import asyncio

import pytest

from admin_ui.desks import OF_THE_BOX, Topic
from appliance.core.marks import EVERYBODY
from appliance.core.scope import BOX
from appliance.run.watches import Changes, Watches

ACME, BETA = 3, 4
MAIL = {Topic.MESSAGES, Topic.QUEUE}


@pytest.fixture
def watches() -> Watches:
    made = Watches()
    made.changes.begin()
    return made


async def test_a_tenant_hears_of_its_own_and_who_sees_everything_of_all(watches):
    acme, beta, box = (watches.open(tenant, "") for tenant in (ACME, BETA, None))
    watches.note({ACME: MAIL, BOX: {Topic.BLOCKLISTS}})
    assert await acme.next(0) == MAIL
    assert await beta.next(0) == frozenset()
    assert await box.next(0) == MAIL | {Topic.BLOCKLISTS}
    assert await box.next(0) == frozenset()


async def test_what_concerns_everybody_is_told_to_a_tenant_unless_it_is_the_boxs(watches):
    acme = watches.open(ACME, "")
    watches.note({EVERYBODY: {Topic.SENDING, *OF_THE_BOX}})
    assert await acme.next(0) == {Topic.SENDING}


async def test_a_thousand_changes_before_anybody_asks_are_one_set(watches):
    acme = watches.open(ACME, "")
    for _ in range(1000):
        watches.note({ACME: MAIL})
    assert await acme.next(0) == MAIL
    assert await acme.next(0) == frozenset()


async def test_those_who_wait_are_woken_and_nobody_else(watches):
    acme, other, beta, box = (watches.open(tenant, "") for tenant in (ACME, ACME, BETA, None))
    waiting = [asyncio.ensure_future(one.next(60)) for one in (acme, other, box)]
    strange = asyncio.ensure_future(beta.next(60))
    await asyncio.sleep(0)
    watches.note({ACME: {Topic.JOBS}})
    assert await asyncio.gather(*waiting) == [{Topic.JOBS}] * 3
    assert not strange.done()
    watches.close()
    assert await strange == frozenset()
    assert beta.is_over


async def test_a_mark_tells_what_was_missed_and_a_strange_one_everything(watches):
    before = watches.open(ACME, "").mark
    watches.note({ACME: MAIL})
    assert await watches.open(ACME, before).next(0) == MAIL
    assert await watches.open(ACME, "").next(0) == frozenset()
    for strange in ("0f0f0f0f.1", "x", ".", f"{before.partition('.')[0]}.²", "1" * 40):
        assert await watches.open(ACME, strange).next(0) == set(Topic) - OF_THE_BOX
        assert await watches.open(None, strange).next(0) == set(Topic)


async def test_a_mark_from_before_the_first_look_knows_nothing():
    watches = Watches()
    early = watches.mark_of(watches.changes.last)
    watches.changes.begin()
    assert await watches.open(ACME, early).next(0) == set(Topic) - OF_THE_BOX


def test_tenants_that_are_kept_are_bounded_and_forgetting_tells_too_much():
    changes = Changes(most_tenants=2)
    for tenant in (1, 2, 3):
        changes.note({tenant: {Topic.MESSAGES}})
    assert changes.since(9, seen=0) == set(Topic) - OF_THE_BOX
    assert changes.since(9, seen=changes.last) == frozenset()


def test_nothing_is_left_of_those_who_are_gone(watches):
    made = [watches.open(tenant, "") for tenant in (ACME, ACME, None)]
    assert (watches.number, watches.has_system) == (3, True)
    for one in made:
        watches.leave(one)
    assert (watches.number, watches.has_system) == (0, False)
