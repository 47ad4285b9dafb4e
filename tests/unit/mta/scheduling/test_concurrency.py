"""How many transactions run at once, and who has the next turn."""

from __future__ import annotations

import asyncio

import pytest

from mta.message import Egress, ReturnPathMode
from mta.scheduling.concurrency import LATE, LEAST, ON_TIME, Concurrency
from mta.scheduling.flow import Flow
from mta.scheduling.lane import Lane
from mta.scheduling.line import Line
from mta.scheduling.parcel import Parcel
from mta.scheduling.share import Share
from mta.shaping.model import Zone
from mta.shaping.throttles import Throttles
from mta.status import TrafficClass
from mta.transport.base import Site
from tests.support.recipients import message, recipient
from tests.support.throttling import book, limits, provider

URGENT, BULK = TrafficClass.TRANSACTIONAL, TrafficClass.BULK
EGRESS = Egress(name="out1", address="", helo="box.lab", ipv6=False)


def lane(name, tenant_id=7, kind=BULK):
    flow = Flow(EGRESS.name, Zone(name, provider("", limits(None))), Throttles(book), Share())
    found = Lane(EGRESS, Site(key=f"{name}:25", hosts=(), port=25), flow, lambda _: 1)
    add(found, tenant_id, kind)
    return found


def add(found, tenant_id=7, kind=BULK):
    letter = message(
        1, tenant_id=tenant_id, traffic_class=kind, return_path_mode=ReturnPathMode.RECIPIENT
    )
    found.push(Parcel(letter, [recipient(1)], None))


def never(_lane) -> bool:
    raise AssertionError("nobody is kicked here")


async def settle():
    for _ in range(3):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that each want one turn, and keep it until they are told to end."""

    def __init__(self, most):
        self.at_once, self.order, self.tasks = Concurrency(most), [], {}

    async def want(self, name, of):
        async def take() -> None:
            await self.at_once.enter(of)
            self.order.append(name)

        self.tasks[name] = asyncio.create_task(take())
        await settle()

    async def end(self, times=1):
        for _ in range(times):
            self.at_once.leave()
            await settle()


# -- the line ----------------------------------------------------------------


def test_tenants_stand_in_turns_and_urgent_mail_before_bulk():
    line = Line()
    lanes = [lane("a", 7), lane("b", 7), lane("c", 8), lane("d", 9, URGENT)]
    for one in lanes:
        line.join(one, never)
    assert line.urgent == 1
    assert [line.pop()[0].zone.key for _ in lanes] == ["d", "a", "c", "b"]
    assert line.pop() is None
    assert (len(line), line.urgent) == (0, 0)


def test_a_lane_stands_in_the_line_once():
    line, one = Line(), lane("a")
    line.join(one, never)
    line.join(one, never)
    assert len(line) == 1
    assert line.pop() == (one, never)
    assert line.pop() is None


def test_a_lane_moves_forward_when_something_urgent_came_to_it():
    line, others, one = Line(), [lane(f"o{n}") for n in range(5)], lane("a", 8)
    for other in (*others, one):
        line.join(other, never)
    add(one, 9, URGENT)
    line.join(one, never)
    assert [line.pop()[0] for _ in (one, *others)] == [one, *others]
    assert line.pop() is None


def test_all_are_kicked_until_one_has_to_wait_on():
    line, lanes, kicked = Line(), [lane(f"o{n}") for n in range(4)], []

    def kick(one) -> bool:
        kicked.append(one)
        if one is lanes[2]:
            line.join(one, kick)
        return one is lanes[0]  # the second has no work any more and waits for nothing

    for one in lanes:
        line.join(one, kick)
    line.feed()
    assert kicked == lanes[:3]
    assert len(line) == 2


# -- turns ---------------------------------------------------------------------


async def test_there_is_no_wait_while_there_is_room():
    at_once = Concurrency(2)
    assert not await at_once.enter(lane("a"))
    assert not await at_once.enter(lane("b"))
    assert at_once.running == 2


async def test_who_waits_has_the_turn_of_who_leaves():
    crowd, mine = Crowd(1), lane("a")
    for name in ("first", "second", "third"):
        await crowd.want(name, mine)
    assert (crowd.order, crowd.at_once.waits(mine)) == (["first"], True)
    await crowd.end(2)
    assert crowd.order == ["first", "second", "third"]
    assert not crowd.at_once.waits(mine)
    await crowd.end()
    assert crowd.at_once.running == 0


async def test_a_receipt_passes_all_connections_that_wait_with_bulk():
    crowd = Crowd(1)
    await crowd.want("running", lane("z"))
    for number in range(20):
        await crowd.want(f"bulk {number}", lane(f"site {number}"))
    await crowd.want("receipt", lane("y", 8, URGENT))
    await crowd.end()
    assert crowd.order[-1] == "receipt"


async def test_a_receipt_that_comes_to_a_waiting_lane_moves_it_forward():
    crowd = Crowd(1)
    await crowd.want("running", lane("z"))
    lanes = [lane(f"site {number}") for number in range(20)]
    for number, one in enumerate(lanes):
        await crowd.want(f"bulk {number}", one)
    add(lanes[-1], 8, URGENT)
    assert crowd.at_once.waits(lanes[-1])
    await crowd.end()
    assert crowd.order[-1] == "bulk 19"
    await crowd.end(19)
    assert len(crowd.order) == 21


async def test_one_that_gives_up_waiting_keeps_nobody_from_a_turn():
    crowd = Crowd(1)
    await crowd.want("running", lane("z"))
    await crowd.want("impatient", lane("a"))
    await crowd.want("patient", lane("b"))
    crowd.tasks["impatient"].cancel()
    await settle()
    await crowd.end()
    assert crowd.order == ["running", "patient"]
    await crowd.end()
    assert crowd.at_once.running == 0


async def test_one_that_is_cancelled_as_its_turn_comes_hands_it_on():
    crowd = Crowd(1)
    await crowd.want("running", lane("z"))
    await crowd.want("cancelled", lane("a"))
    await crowd.want("next", lane("b"))
    crowd.at_once.leave()
    crowd.tasks["cancelled"].cancel()
    await settle()
    assert crowd.order == ["running", "next"]
    assert crowd.at_once.running == 1


# -- the limit -------------------------------------------------------------------


async def test_the_limit_rises_while_turns_are_waited_for_and_the_loop_is_on_time():
    crowd, mine = Crowd(1000), lane("a")
    for number in range(LEAST + 1):
        await crowd.want(number, mine)
    assert len(crowd.order) == LEAST
    crowd.at_once.came(ON_TIME / 2)
    await settle()
    assert len(crowd.order) == LEAST + 1
    limit = crowd.at_once.limit
    crowd.at_once.came(0.0)  # nobody waits any more
    assert crowd.at_once.limit == limit


async def test_there_is_one_look_at_the_clock_at_a_time_however_fast_the_limit_rises(monkeypatch):
    crowd, mine, timers = Crowd(1000), lane("a"), []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda *call: timers.append(call) or call)
    for number in range(4 * LEAST):
        await crowd.want(number, mine)
    for looks in range(1, 20):
        assert len(timers) == looks
        _, look, _ = timers[-1]
        look(loop.time())
    assert len(crowd.tasks) > crowd.at_once.running > LEAST


async def test_it_never_rises_above_what_is_configured():
    crowd, mine = Crowd(LEAST + 3), lane("a")
    for number in range(LEAST + 10):
        await crowd.want(number, mine)
    for _ in range(50):
        crowd.at_once.came(0.0)
    await settle()
    assert len(crowd.order) == LEAST + 3


@pytest.mark.parametrize(("running", "limit"), [(1000, 800), (400, 320), (10, LEAST)])
async def test_a_loop_that_is_late_lowers_it_below_what_runs_but_not_below_the_least(
    running, limit
):
    at_once = Concurrency(1000)
    at_once.limit, at_once.running = 1000.0, running
    at_once.came(LATE * 2)
    assert at_once.limit == limit


async def test_between_late_and_on_time_nothing_moves():
    at_once = Concurrency(1000)
    at_once.limit = 500.0
    at_once.came((LATE + ON_TIME) / 2)
    assert at_once.limit == 500


async def test_a_small_limit_of_connections_is_kept():
    at_once = Concurrency(3)
    at_once.running = 3
    at_once.came(1.0)
    assert at_once.limit == 3
