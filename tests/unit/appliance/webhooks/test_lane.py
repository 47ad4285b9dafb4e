"""A lane: in the order of a message, other messages pass by, who fails is asked one thing at a time."""

from __future__ import annotations

import random

import pytest

from appliance.webhooks import TYPES, Endpoint, Key, Told, Waiting
from appliance.webhooks.lane import AT_ONCE, WINDOW, Lane
from appliance.webhooks.model import Signer

NOW = 1_800_000_000_000


def endpoint(**changes) -> Endpoint:
    values = {
        "id": 1,
        "tenant_id": 7,
        "url": "https://hooks.example/",
        "types": TYPES,
        "description": "",
        "created_at": 0,
        "enabled_at": 0,
        "disabled_at": 0,
        "disabled_by": "",
        "disabled_reason": "",
        "old_secret_until": 0,
    }
    return Endpoint(**(values | changes))


def told(message_id: int, seq: int) -> Told:
    return Told(
        position=seq,
        tenant_id=7,
        key=Key(message_id, seq, 0),
        type="message.delivered",
        at=NOW,
        body=b"{}",
    )


@pytest.fixture
def lane() -> Lane:
    return Lane(Signer(endpoint=endpoint(), keys=(b"k",), old_key_until=0, generation=1))


def started(lane: Lane, now: int = NOW) -> list:
    found = []
    while (item := lane.start(now)) is not None:
        found.append(item)
    return found


def test_of_one_message_one_event_goes_at_a_time_in_order(lane):
    for seq in (1, 2, 3):
        lane.take(told(10, seq))
    order = []
    while lane.items:
        (item,) = started(lane)
        order.append(item.key.seq)
        lane.settled(item)
    assert order == [1, 2, 3]


def test_what_was_not_taken_holds_up_its_message_and_no_other(lane):
    for message, seq in ((10, 1), (10, 2), (11, 3)):
        lane.take(told(message, seq))
    one, other = started(lane)
    assert (one.key.message_id, other.key.message_id) == (10, 11)
    lane.put_off(one, NOW + 1000)
    lane.settled(other)
    assert started(lane, NOW + 999) == []
    (again,) = started(lane, NOW + 1000)
    assert again is one
    lane.settled(again)
    assert [item.key.seq for item in started(lane)] == [2]


def test_more_go_at_once_while_they_are_taken_and_one_while_they_are_not(lane):
    for number in range(50):
        lane.take(told(number + 1, number + 1))
    waves = []
    for _ in range(5):
        items = started(lane)
        waves.append(len(items))
        for item in items:
            lane.taken(NOW)
            lane.settled(item)
    assert waves[0] == 2
    assert waves == sorted(waves)
    assert max(waves) == AT_ONCE
    (first, *rest) = started(lane)
    for item in (first, *rest):
        lane.put_off(item, NOW)
    lane.failed(NOW, NOW + 5000)
    assert started(lane, NOW + 4999) == []
    assert len(started(lane, NOW + 5000)) == 1


def test_a_lane_that_rests_is_woken_by_a_person(lane):
    lane.take(told(1, 1))
    lane.failed(NOW, NOW + 5000)
    lane.wake()
    assert len(started(lane)) == 1


def test_a_lane_that_is_over_sends_nothing(lane):
    lane.take(told(1, 1))
    lane.is_over = True
    assert started(lane) == []


def test_a_row_comes_back_and_is_hurried_by_a_later_one(lane):
    row = Waiting(key=Key(1, 5, 0), type="message.bounced", at=NOW, due_at=NOW + 9000, attempts=3)
    lane.restore(row)
    assert started(lane) == []
    lane.restore(Waiting(key=row.key, type=row.type, at=NOW, due_at=0))
    (item,) = started(lane)
    assert (item.attempts, item.body, item.is_stored) == (0, None, True)


def test_it_wants_what_was_chosen_and_what_it_does_not_have(lane):
    one = told(1, 1)
    assert lane.wants(one)
    lane.take(one)
    assert not lane.wants(one)
    chosen = Lane(
        Signer(
            endpoint=endpoint(types=("message.bounced",)), keys=(), old_key_until=0, generation=1
        )
    )
    assert not chosen.wants(one)
    assert (lane.room, chosen.room) == (WINDOW - 1, WINDOW)


def test_a_body_is_left_to_the_store_once_it_stands_there_and_waits(lane):
    lane.take(told(1, 1))
    lane.take(told(2, 2))
    stored, fresh = started(lane)
    stored.is_stored = True
    for item in (stored, fresh):
        lane.put_off(item, NOW + 10_000)
    lane.forget_bodies(NOW + 2000)
    assert (stored.body, fresh.body) == (None, b"{}")
    assert [item.key.seq for item in lane.unsaved()] == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_when_each_message_keeps_its_order(lane, seed):
    dice, now, seen = random.Random(seed), NOW, {}
    for seq in range(1, 200):
        lane.take(told(dice.randrange(1, 20), seq))
    going = []
    while lane.items:
        going += started(lane, now)
        assert len({item.key.message_id for item in going}) == len(going)
        if not going:
            now += 50
            continue
        item = going.pop(dice.randrange(len(going)))
        if dice.random() < 0.4:
            lane.put_off(item, now + dice.randrange(500))
            if dice.random() < 0.3:
                lane.failed(NOW, now + dice.randrange(100))
        else:
            seen.setdefault(item.key.message_id, []).append(item.key.seq)
            lane.taken(NOW)
            lane.settled(item)
    assert sum(map(len, seen.values())) == 199
    assert all(order == sorted(order) for order in seen.values())
    assert lane.in_flight == 0
