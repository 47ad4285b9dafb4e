"""What receivers know of an address goes with the address, on both databases."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.egress import Egresses, EgressRequest
from appliance.run.egress_life import EgressLife
from appliance.shaping import ThrottleStore
from appliance.warmup import Warmups
from mta.shaping.throttle import Fault, Subject, Throttle
from mta.warmup.model import WarmupState
from mta.warmup.schedule import SHIPPED, load_schedules

ADMIN = Scope.system(by="ann")
STANDARD = load_schedules([SHIPPED])["standard"]
OUT1 = EgressRequest(name="out1", address="203.0.113.7", helo="out1.example.org")


class World:
    def __init__(self, engine):
        self.egresses = Egresses(engine, hostname="mx.example.org", is_here=lambda _: True)
        self.warmups, self.throttles = Warmups(engine), ThrottleStore(engine)
        self.life = EgressLife(self.egresses, self.warmups, self.throttles)

    async def known_and_slowed(self):
        """An address that is warm at Google and suspended there."""
        await self.life.create(ADMIN, OUT1)
        await self.warmups.start(ADMIN, "out1", STANDARD, providers=("google",))
        await self.warmups.finish(ADMIN, "out1")
        now = clock.now_ms()
        fault = Fault("busy", "421 4.7.28 too fast", "mx.google.com", now)
        slowed = Throttle(
            subject=Subject("out1", "google"),
            fault=fault,
            suspended_until=now + clock.HOUR,
            changed_at=now,
        )
        await self.throttles.save([slowed])

    async def standing(self):
        """(state, stage) of the warmup, and what is in force."""
        plans = await self.warmups.plans()
        one = plans.get(("out1", "google"))
        in_force = [each.subject for each in await self.throttles.all(ADMIN) if each.in_force]
        return (None if one is None else (one.state, one.stage)), in_force


@pytest.fixture
async def world(engine):
    made = World(engine)
    await made.known_and_slowed()
    assert await made.standing() == ((WarmupState.WARM, 0), [Subject("out1", "google")])
    return made


async def test_another_address_is_a_stranger_to_receivers(world):
    await world.life.update(ADMIN, "out1", address="203.0.113.8")
    assert await world.standing() == ((WarmupState.WARMING, 0), [])
    (record,) = await world.warmups.list(ADMIN, "out1")
    assert record.reason == "its address is 203.0.113.8 now, not 203.0.113.7"


async def test_another_helo_name_or_an_ipv6_address_beside_it_changes_nothing(world):
    before = await world.standing()
    await world.life.update(ADMIN, "out1", helo="out.example.org", address6="2001:db8::7")
    assert await world.standing() == before


async def test_an_egress_that_is_gone_leaves_nothing_to_the_next_of_its_name(world):
    await world.life.delete(ADMIN, "out1", force=True)
    assert await world.standing() == (None, [])
    assert await world.warmups.history(ADMIN, "out1") == ()


async def test_what_a_crash_left_behind_is_gone_when_the_name_is_used_again(world):
    await world.egresses.delete(ADMIN, "out1", force=True)  # and then the power failed
    await world.life.create(ADMIN, OUT1)
    assert await world.standing() == (None, [])
