"""Lanes: who shares a transaction, and how connections wait for work."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mta.message import Egress, ReturnPathMode
from mta.scheduling.flow import Flow
from mta.scheduling.lane import LANE_LEAST, LANE_LIMIT, Hand, Lane
from mta.scheduling.parcel import MAX_RECIPIENTS, Parcel, parcels_of
from mta.scheduling.share import Share
from mta.shaping.model import Rate, Zone
from mta.shaping.throttles import Throttles
from mta.status import TrafficClass
from mta.transport.base import Site
from tests.support.recipients import message, recipient
from tests.support.throttling import book, limits, provider

EGRESS = Egress(name="default", address="", helo="box.lab", ipv6=False)
ACME = (7, TrafficClass.TRANSACTIONAL)


@pytest.fixture
def lane():
    zone = Zone("mx.lab:25", provider("", limits(None, 4)))
    flow = Flow(EGRESS.name, zone, Throttles(book), Share())
    return Lane(EGRESS, Site(key="mx.lab:25", hosts=(), port=25), flow, lambda _tenant: 1)


def slow_lane(rate, share=Share()):  # noqa: B008 - a value
    zone = Zone("mx.lab:25", provider("", limits(rate, 4)))
    flow = Flow(EGRESS.name, zone, Throttles(book), share)
    return Lane(EGRESS, Site(key="mx.lab:25", hosts=(), port=25), flow, lambda _tenant: 1)


def parcel(message_id=1, *people, mode=ReturnPathMode.MESSAGE, content=None):
    letter = message(message_id, return_path_mode=mode)
    return Parcel(letter, list(people or (recipient(message_id),)), content)


def test_recipients_of_one_message_join_one_parcel(lane):
    first = parcel(1, recipient(1, 0))
    assert lane.push(first) is first
    assert lane.push(parcel(1, recipient(1, 1, domain="other.example"))) is first
    assert [r.n for r in lane.pop().recipients] == [0, 1]
    assert lane.pop() is None


def test_recipients_with_a_return_path_of_their_own_never_join(lane):
    for n in range(2):
        lane.push(parcel(1, recipient(1, n), mode=ReturnPathMode.RECIPIENT))
    assert len(lane) == 2


def test_a_parcel_that_has_left_is_joined_no_more(lane):
    lane.push(parcel(1, recipient(1, 0)))
    sent = lane.pop()
    lane.push(parcel(1, recipient(1, 1)))
    assert (len(sent.recipients), len(lane)) == (1, 1)


def test_a_parcel_that_was_taken_out_is_joined_no_more(lane):
    lane.push(parcel(1, recipient(1, 0)))
    [taken] = lane.take_all()
    lane.push(parcel(1, recipient(1, 1)))
    assert (len(taken.recipients), len(lane)) == (1, 1)


def test_a_parcel_never_has_more_recipients_than_every_server_takes(lane):
    for n in range(2 * MAX_RECIPIENTS + 1):
        lane.push(parcel(1, recipient(1, n)))
    sizes = []
    while (found := lane.pop()) is not None:
        sizes.append(len(found.recipients))
    assert sizes == [MAX_RECIPIENTS, MAX_RECIPIENTS, 1]


def test_recipients_of_a_domain_are_split_as_the_return_path_demands():
    people = [recipient(1, n) for n in range(250)]
    shared = message(1, return_path_mode=ReturnPathMode.MESSAGE)
    assert [len(p.recipients) for p in parcels_of(shared, people, b"x")] == [100, 100, 50]
    assert len(parcels_of(message(1), people, None)) == 250


def test_parting_gives_each_domain_a_parcel_of_its_own():
    people = [recipient(1, n, domain=f"{n % 3}.example") for n in range(7)]
    one = parcel(1, *people)
    others = one.part()
    parcels = [one, *others]
    assert [p.key.domain for p in parcels] == ["0.example", "1.example", "2.example"]
    assert all(r.domain == p.key.domain for p in parcels for r in p.recipients)
    assert sum(len(p.recipients) for p in parcels) == 7


def fill(lane, count):
    for number in range(count):
        lane.push(parcel(number + 1, mode=ReturnPathMode.RECIPIENT))


@pytest.mark.parametrize(
    ("room", "most"),
    [
        (1_000_000, LANE_LIMIT),  # there is plenty: its own limit
        (400, 100),  # a quarter of what is left
        (40, LANE_LEAST),
        (10, 4),  # and when there is little, a few
        (0, 1),  # one is always possible, or the site would never be served
    ],
)
def test_a_lane_holds_a_share_of_the_room_that_is_left(lane, room, most):
    fill(lane, most - 1)
    assert not lane.is_full(room, ACME)
    fill(lane, 1)
    assert lane.is_full(room, ACME)


def test_a_hundred_tenants_with_a_few_each_do_not_take_all_the_room_there_is(lane):
    """To a receiver that is mute: whoever has something there waits, whoever has not puts in one."""
    room, taken = 10_000, 0
    for number in range(LANE_LEAST):
        for tenant in range(400):
            whose = (tenant, ACME[1])
            if not lane.is_full(room - 8 * taken, whose):  # from eight addresses
                letter = message(1000 * number + tenant, tenant_id=tenant)
                lane.push(Parcel(letter, [recipient(letter.id)], None))
                taken += 1
    assert 400 <= taken < 1_100
    assert not lane.is_full(0, (400, ACME[1]))


@pytest.mark.parametrize(
    ("rate", "share", "room_for"),
    [
        (Rate(1, 60), Share(), 1),
        (Rate(1, 1), Share(), 10),
        (Rate(1, 1), Share(1, 2), 5),
        (Rate(1000, 1), Share(), LANE_LIMIT),
    ],
)
def test_a_slow_lane_keeps_ready_what_leaves_soon_and_not_what_another_could_send(
    rate, share, room_for
):
    lane = slow_lane(rate, share)
    for n in range(room_for):
        assert not lane.is_full(100_000, ACME)
        lane.push(parcel(n))
    assert lane.is_full(100_000, ACME)


@pytest.mark.parametrize("other", [(8, ACME[1]), (ACME[0], TrafficClass.BULK)])
def test_a_lane_full_of_one_s_mail_has_room_for_another_s(lane, other):
    fill(lane, LANE_LIMIT)
    assert not lane.is_full(0, other)


def test_whatever_its_receiver_takes_a_transaction_never_has_more(lane):
    lane.flow.zone = Zone("few", provider("few", replace(limits(), recipients_per_message=3)))
    for n in range(7):
        lane.push(parcel(1, recipient(1, n)))
    assert [len(lane.pop().recipients) for _ in range(3)] == [3, 3, 1]


def test_a_lane_lives_while_any_of_its_tasks_holds_a_connection(lane):
    opening, sending = Hand(), Hand(connection=object())
    lane.hands.add(opening)
    assert not lane.is_live
    lane.hands.add(sending)
    assert lane.is_live


def test_a_lane_with_a_connection_is_not_empty(lane):
    assert lane.is_empty
    lane.connections = 1
    assert not lane.is_empty


async def test_work_wakes_a_connection_that_waits(lane):
    waiting = asyncio.ensure_future(lane.work(5))
    await asyncio.sleep(0)
    assert lane.wake_idle()
    assert await waiting is True
    assert not lane.wake_idle()


async def test_waiting_in_vain_ends_after_the_idle_time(lane):
    assert await lane.work(0.01) is False
    assert not lane.wake_idle()


async def test_one_piece_of_work_wakes_one_connection(lane):
    waiting = [asyncio.ensure_future(lane.work(0.05)) for _ in range(3)]
    await asyncio.sleep(0)
    lane.wake_idle()
    assert sorted(await asyncio.gather(*waiting)) == [False, False, True]


async def test_all_are_woken_to_look_at_the_state_of_the_world(lane):
    waiting = [asyncio.ensure_future(lane.work(5)) for _ in range(3)]
    await asyncio.sleep(0)
    lane.wake_all()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_a_connection_that_is_cancelled_while_it_waits_stays_cancelled(lane):
    waiting = asyncio.ensure_future(lane.work(5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not lane.wake_idle()
