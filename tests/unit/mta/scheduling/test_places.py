"""Who may have a connection, who waits for one, and that nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from appliance.core import clock
from mta.message import Egress, ReturnPathMode
from mta.scheduling import places as module
from mta.scheduling.flow import Flow
from mta.scheduling.lane import Lane
from mta.scheduling.parcel import Parcel
from mta.scheduling.places import Places
from mta.scheduling.share import Share
from mta.shaping.model import Rate, Zone
from mta.shaping.throttles import Throttles
from mta.transport.base import Site
from tests.support.recipients import message, recipient
from tests.support.throttling import book, limits, provider

EGRESS = Egress(name="out1", address="", helo="box.lab", ipv6=False)


class Sender:
    """Takes places when kicked, as the real one; the test ends its connections."""

    def __init__(self, most=100, share=None):
        self.at_work = []
        self.served = asyncio.Event()
        self.places = Places(most, share or Share(), self.kick, self.rouse)

    def kick(self, lane):
        if not len(lane) or not self.places.take(lane):
            return False
        self.at_work.append(lane)
        self.served.set()
        return True

    def rouse(self, lane):
        while self.kick(lane):
            pass

    def end(self, lane):
        self.at_work.remove(lane)
        self.places.release(lane)
        self.places.hand_on(lane)
        self.kick(lane)


def flow(key="google", configured=None):
    zone = Zone(key, provider("", configured or limits(None)))
    return Flow(EGRESS.name, zone, Throttles(book), Share())


def lane(of, name="mx1", work=1):
    found = Lane(EGRESS, Site(key=f"{name}.lab:25", hosts=(), port=25), of, lambda _: 1)
    add(found, work)
    return found


def add(found, count):
    for number in range(count):
        letter = message(number + 1, return_path_mode=ReturnPathMode.RECIPIENT)
        found.push(Parcel(letter, [recipient(number + 1)], None))


async def test_a_place_that_is_given_up_goes_to_who_waited_first():
    sender = Sender(most=1)
    first, second, third = (lane(flow(name), name) for name in "abc")
    assert [sender.kick(one) for one in (first, second, third)] == [True, False, False]
    assert sender.places.wanted_by_others(first)
    first.pop()
    sender.end(first)
    assert sender.at_work == [second]
    second.pop()
    sender.end(second)
    assert sender.at_work == [third]
    assert not sender.places.wanted_by_others(third)


async def test_the_connections_of_a_zone_are_handed_on_among_its_sites():
    google = flow(configured=limits(None, connections=5, zone_connections=1))
    sender, (first, second) = Sender(), (lane(google, name) for name in "ab")
    sender.kick(first)
    assert not sender.kick(second)
    first.pop()
    sender.end(first)
    assert sender.at_work == [second]


async def test_two_shards_that_share_a_zone_each_serve_their_own_lanes():
    google = flow(configured=limits(None, connections=5, zone_connections=1))
    one, two = Sender(), Sender()
    mine, yours = lane(google, "a"), lane(google, "b")
    one.kick(mine)
    assert not two.kick(yours)
    mine.pop()
    one.end(mine)
    assert (one.at_work, two.at_work) == ([], [yours])


async def test_lanes_to_the_same_hosts_share_the_connections_of_the_site():
    google = flow(configured=limits(None, connections=1))
    sender = Sender()
    plain, secured = lane(google, "mx"), lane(google, "mx")
    secured.site = replace(secured.site, key=f"{plain.site.key}|sts")
    sender.kick(plain)
    assert not sender.kick(secured)
    plain.pop()
    sender.end(plain)
    assert sender.at_work == [secured]


async def test_a_connection_without_work_is_closed_for_who_needs_its_place():
    sender = Sender(most=1)
    idler, busy = lane(flow("a"), "a"), lane(flow("b"), "b")
    sender.kick(idler)
    idler.pop()

    async def idle():
        with sender.places.idling(idler):
            return await idler.work(5)

    waiting = asyncio.ensure_future(idle())
    await asyncio.sleep(0)
    assert not sender.kick(busy)
    assert await waiting is False
    sender.end(idler)
    assert sender.at_work == [busy]


async def test_several_that_idle_can_all_be_dismissed_one_after_the_other():
    sender = Sender(most=2)
    idler, busy = lane(flow("a"), "a", work=2), lane(flow("b"), "b", work=2)
    sender.rouse(idler)
    while idler.pop():
        pass

    async def idle():
        with sender.places.idling(idler):
            await idler.work(5)
        sender.end(idler)

    waiting = [asyncio.ensure_future(idle()) for _ in range(2)]
    await asyncio.sleep(0)
    for turn in (1, 2):
        sender.kick(busy)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert sender.at_work.count(busy) >= turn
    await asyncio.gather(*waiting)


async def test_a_rate_is_waited_for_and_then_the_lane_goes_on_by_itself():
    paced = flow(configured=replace(limits(None), connection_rate=Rate(50, 1.0)))
    sender, only = Sender(), lane(paced, work=60)
    while sender.kick(only):
        sender.at_work.remove(only)
        sender.places.release(only)
    assert only.timer is not None
    sender.served.clear()
    async with asyncio.timeout(30):
        await sender.served.wait()


async def test_of_many_sites_of_a_slow_zone_one_gets_ready_for_the_next_turn(monkeypatch):
    """Else each turn would open a thousand connections, of which one sends."""
    now = [1_800_000_000_000]
    monkeypatch.setattr(clock, "now_ms", lambda: now[0])
    slow = flow(configured=limits(Rate(60, 60.0)))
    sender, lanes = Sender(), [lane(slow, f"mx{n}") for n in range(20)]
    slow.sends_at(now[0])
    slow.sent(7, now[0])
    assert [sender.kick(one) for one in lanes] == [True] + [False] * 19
    now[0] += 1000
    first = lanes[0]
    first.pop()
    slow.sent(7, now[0])
    sender.places.turned(first)
    assert sender.at_work == [first, lanes[1]]
    sender.end(first)
    assert sender.at_work == [lanes[1]]
    sender.end(lanes[1])  # it ends without having sent: the turn is another's
    assert len(sender.at_work) == 1


async def test_a_lane_that_rests_after_a_crash_opens_no_connection_until_then():
    sender, only = Sender(), lane(flow())
    only.flow.failed(only.site, clock.now_ms())
    assert not sender.kick(only)
    assert only.timer is not None
    only.flow.worked(only.site)
    assert sender.kick(only)


async def test_a_lane_that_may_go_sooner_than_was_meant_is_looked_at_sooner():
    sender, only, now = Sender(), lane(flow()), clock.now_ms()
    sender.places.later(only, now + clock.HOUR, now)
    late = only.timer
    sender.places.later(only, now + clock.MINUTE, now)
    assert late.cancelled()
    assert only.timer.when() < late.when() - 1000
    sooner = only.timer
    sender.places.later(only, now + clock.HOUR, now)
    assert only.timer is sooner
    sender.places.later(only, now, now)
    async with asyncio.timeout(30):
        await sender.served.wait()
    assert sooner.cancelled()


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_the_limits_all_work_is_done_and_all_places_are_given_back(
    seed, monkeypatch
):
    dice = random.Random(seed)
    monkeypatch.setattr(module, "PATIENCE", 20)
    zones = [
        flow(f"zone{n}", limits(None, dice.randrange(1, 4), dice.choice((0, 0, 1, 3))))
        for n in range(4)
    ]
    senders = [Sender(most=dice.randrange(1, 6)) for _ in range(2)]
    lanes = [
        (dice.choice(senders), lane(dice.choice(zones), f"mx{n % 9}", dice.randrange(1, 9)))
        for n in range(25)
    ]
    for sender, one in lanes:
        sender.rouse(one)
    for _ in range(100_000):
        busy = [(sender, one) for sender in senders for one in sender.at_work]
        if not busy:
            break
        sender, one = dice.choice(busy)
        assert sender.places.taken <= sender.places._most
        if one.pop() is None or dice.random() < 0.3:
            sender.end(one)
        sender.places.turned(one)
    assert [len(one) for _, one in lanes] == [0] * len(lanes)
    assert [sender.places.taken for sender in senders] == [0, 0]
    assert [zone.connections for zone in zones] == [0] * 4
    assert not any(zone.hungry or zone.next or zone._at_hosts for zone in zones)
