"""What is stopped while a connection is opened, or a signature made, is not begun; it goes on afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from appliance.core import clock
from appliance.lab.receiver import Receiver
from mta.directory import KillSwitch, Pause, Tenant
from mta.message import Egress
from mta.shaping.book import parse_book
from mta.warmup.model import WarmupPlan, WarmupState
from tests.support.warmup import MemoryStore
from tests.support.way import FAST, egress_plan, open_way, until

ACME = Tenant(id=7, name="acme")
FREE = {"kill_switch": None, "pauses": (), "tenants": {7: ACME}}
STOPS = {
    "kill switch": {"kill_switch": KillSwitch(by="ann", at=1, reason="stop")},
    "suspended": {
        "tenants": {7: Tenant(id=7, name="acme", suspended=True, suspended_reason="spam")}
    },
    "domain": {"pauses": (Pause(id=1, domain="example.net"),)},
    "address": {"pauses": (Pause(id=1, egress="default"),)},
    "login": {"pauses": (Pause(id=1, credential_id=3),)},
}


class Held:
    """Something that a sender waits for, until `go`."""

    def __init__(self, work):
        self.go, self.begun = asyncio.Event(), 0
        self._work = work

    async def __call__(self, *given, **more):
        self.begun += 1
        await self.go.wait()
        return await self._work(*given, **more)

    def __enter__(self):
        return self

    def __exit__(self, *found):
        self.go.set()  # else a test that fails never ends


def hold_openings(way):
    way.sender._transport.open = held = Held(way.sender._transport.open)
    return held


async def all_are(way, ids, status):
    return all([set(await way.statuses(number)) == {status} for number in ids])


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
async def test_what_is_stopped_while_connections_are_opened_does_not_begin(tmp_path, stop):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        with hold_openings(way) as held:
            ids = [await way.send() for _ in range(10)]
            await until(lambda: held.begun == 4)
            way.change(**stop)
        await until(lambda: way.operations.being_sent == 0)
        assert mx.count == 0
        assert await all_are(way, ids, "queued")
        way.change(**FREE)
        await until(lambda: all_are(way, ids, "delivered"))
        assert mx.count == 10
        kinds = Counter(kind for kind, _ in await way.events())
        assert kinds == {"accepted": 10, "delivered": 10}
        await until(lambda: way.dispatcher.in_memory == way.window.held_bytes == 0)


async def test_a_process_that_drains_begins_nothing_on_connections_that_come_late(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        with hold_openings(way) as held:
            ids = [await way.send() for _ in range(4)]
            await until(lambda: held.begun == 4)
            way.dispatcher.stop()
            draining = asyncio.create_task(way.sender.drain())
            await asyncio.sleep(0)
        await draining
        assert (mx.count, way.dispatcher.in_memory, way.window.held_bytes) == (0, 0, 0)
        assert await all_are(way, ids, "queued")


async def test_nothing_leaves_from_an_address_that_was_taken_away_while_it_connected(tmp_path):
    old, new = (Egress(name=n, address="", helo=f"{n}.lab", ipv6=False) for n in ("old", "new"))
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(egress=egress_plan(old))
        with hold_openings(way) as held:
            ids = [await way.send() for _ in range(10)]
            await until(lambda: held.begun == 4)
            way.sender._places._most = 0
            way.change(egress=egress_plan(new))
        await until(lambda: way.operations.being_sent == 0)  # they stand in the lane of the other
        assert [(lane.egress.name, len(lane)) for lane in way.dispatcher.lanes] == [("new", 10)]
        way.sender._places._most = 8
        way.sender.rouse_all()
        await until(lambda: all_are(way, ids, "delivered"))
        assert Counter(message.helo for message in mx.messages) == {"new.lab": 10}


async def test_what_holds_for_a_receiver_by_then_holds_for_connections_that_come_late(tmp_path):
    named = parse_book(FAST + '\n[provider.lab]\ntitle = "Lab"\nmx = [".lab"]\n', "test")
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        zones, record = Counter(), way.results.record

        async def recorded(parcel, attempt, content, lane):
            zones[lane.zone.key] += 1
            await record(parcel, attempt, content, lane)

        way.results.record = recorded
        with hold_openings(way) as held:
            ids = [await way.send() for _ in range(10)]
            await until(lambda: held.begun == 4)
            way.regulator.book = lambda: named
            way.dispatcher.reshaped()
        await until(lambda: all_are(way, ids, "delivered"))
        assert zones == {"lab": 10}


async def test_what_is_stopped_while_it_is_signed_costs_a_warming_address_nothing(tmp_path):
    plan = WarmupPlan(
        egress="default",
        provider="other",
        state=WarmupState.WARMING,
        stage=0,
        stages=3,
        limit=40,
    )
    async with Receiver() as mx, open_way(tmp_path, mx.port, store=MemoryStore()) as way:
        way.change(warmup={("default", "other"): plan})
        way.sender._sign = Held(way.sender._sign)
        with way.sender._sign as held:
            ids = [await way.send() for _ in range(3)]
            await until(lambda: held.begun == 3)
            way.change(kill_switch=KillSwitch(by="ann", at=1, reason="stop"))
        await until(lambda: way.operations.being_sent == 0)
        [usage] = way.regulator.ledger.describe(clock.now_ms())
        assert (mx.count, usage.used - usage.in_hand) == (0, 0)
        way.change(kill_switch=None)
        await until(lambda: all_are(way, ids, "delivered"))
        [usage] = way.regulator.ledger.describe(clock.now_ms())
        assert usage.used - usage.in_hand == 3
