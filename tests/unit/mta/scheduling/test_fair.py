"""Turns between classes and tenants."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.scheduling.fair import TRANSACTIONAL_SHARE, FairQueue
from mta.status import TrafficClass

URGENT, BULK = TrafficClass.TRANSACTIONAL, TrafficClass.BULK


def filled(tenants, *, traffic_class=URGENT, each=100):
    """Items (tenant, number) of tenants with weights."""
    queue = FairQueue()
    for number in range(each):
        for tenant, weight in tenants.items():
            queue.push((tenant, number), tenant, traffic_class, weight)
    return queue


def popped(queue, count):
    return [queue.pop() for _ in range(count)]


def test_an_empty_queue_gives_nothing():
    assert FairQueue().pop() is None


def test_items_of_one_tenant_keep_their_order():
    assert popped(filled({1: 1}, each=5), 6) == [(1, n) for n in range(5)] + [None]


def test_tenants_take_turns_whoever_came_first():
    queue = filled({1: 1}, each=50)
    queue.push((2, 0), 2, URGENT)
    assert (2, 0) in popped(queue, 2)


def test_a_tenant_of_weight_three_gives_three_items_a_turn():
    found = Counter(tenant for tenant, _ in popped(filled({1: 3, 2: 1}), 80))
    assert found == {1: 60, 2: 20}


@pytest.mark.parametrize("weight", [0, -5])
def test_a_weight_below_one_counts_as_one(weight):
    found = Counter(tenant for tenant, _ in popped(filled({1: weight, 2: 1}), 20))
    assert found == {1: 10, 2: 10}


def test_four_of_five_are_transactional_while_both_classes_wait():
    queue = FairQueue()
    for number in range(100):
        queue.push(number, 1, BULK)
        queue.push(number, 2, URGENT)
        queue.push(number, 3, URGENT)
    classes = [traffic_class_of(queue) for _ in range(100)]
    assert classes.count(URGENT) == 80
    assert all(BULK in classes[i : i + 5] for i in range(95))


def traffic_class_of(queue):
    before = {c: queue._turns[c].size for c in TrafficClass}
    queue.pop()
    return next(c for c in TrafficClass if queue._turns[c].size < before[c])


def test_bulk_does_not_save_up_turns_while_it_is_alone():
    queue = FairQueue()
    for number in range(50):
        queue.push(("bulk", number), 1, BULK)
    popped(queue, 40)
    for number in range(50):
        queue.push(("urgent", number), 2, URGENT)
    assert [kind for kind, _ in popped(queue, 5)] == ["urgent"] * TRANSACTIONAL_SHARE + ["bulk"]


def test_what_is_put_back_comes_first_of_its_tenant():
    queue = filled({1: 1}, each=3)
    first = queue.pop()
    queue.push_first(first, 1, URGENT)
    assert popped(queue, 3) == [(1, 0), (1, 1), (1, 2)]


def test_taking_out_leaves_the_others_in_their_order():
    queue = filled({1: 1, 2: 1}, each=4)
    assert sorted(queue.take_where(lambda item: item[0] == 2)) == [(2, n) for n in range(4)]
    assert (len(queue), popped(queue, 4)) == (4, [(1, n) for n in range(4)])


def test_taking_others_out_gives_nobody_a_longer_turn():
    """A tenant in its turn must not begin it anew each time another's items are removed."""
    queue = filled({1: 2, 2: 1}, each=100)
    found = []
    for number in range(30):
        found.append(queue.pop()[0])
        queue.push(("gone", number), 3, URGENT)
        queue.take_where(lambda item: item[0] == "gone")
    assert Counter(found) == {1: 20, 2: 10}


PUSHES = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([URGENT, BULK]), st.integers(1, 5)),
    min_size=1,
    max_size=200,
)


@given(PUSHES)
def test_everything_that_was_pushed_comes_out_once(pushes):
    queue = FairQueue()
    for number, (tenant, traffic_class, weight) in enumerate(pushes):
        queue.push(number, tenant, traffic_class, weight)
    assert len(queue) == len(pushes)
    assert sorted(queue) == list(range(len(pushes)))
    assert sorted(popped(queue, len(pushes))) == list(range(len(pushes)))
    assert queue.pop() is None


@settings(max_examples=60)
@given(
    st.dictionaries(st.integers(1, 8), st.integers(1, 6), min_size=1),
    st.dictionaries(st.integers(1, 8), st.integers(1, 6), min_size=1),
)
def test_nobody_waits_longer_than_one_round_of_all_weights(urgent, bulk):
    """The bound a tenant may count on, whichever class it is in and whoever else waits."""
    queue = FairQueue()
    for number in range(300):
        for traffic_class, tenants in ((URGENT, urgent), (BULK, bulk)):
            for tenant, weight in tenants.items():
                queue.push((traffic_class, tenant, number), tenant, traffic_class, weight)
    gaps = {URGENT: sum(urgent.values()) * 2, BULK: sum(bulk.values()) * 5}
    last = dict.fromkeys([(URGENT, t) for t in urgent] + [(BULK, t) for t in bulk], 0)
    for turn in range(300):
        traffic_class, tenant, _ = queue.pop()
        last[(traffic_class, tenant)] = turn
        for (waiting_class, _), seen in last.items():
            assert turn - seen <= gaps[waiting_class] + 5


@given(st.dictionaries(st.integers(1, 5), st.integers(1, 5), min_size=2), st.integers(1, 10))
def test_shares_follow_the_weights_exactly_over_whole_rounds(weights, rounds):
    queue = filled(weights, each=60)
    found = Counter(tenant for tenant, _ in popped(queue, rounds * sum(weights.values())))
    assert found == {tenant: rounds * weight for tenant, weight in weights.items()}
