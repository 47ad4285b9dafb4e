"""What follows from an answer: the next state, and when it is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.outcome.decide import RetrySchedule, decide
from mta.status import EventKind, Status, TrafficClass, may_move
from tests.support.recipients import NOW, recipient

MINUTE = 60_000
DEFAULT = RetrySchedule(
    waits=(5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE, 240 * MINUTE),
    jitter=0.1,
    lifetime=4 * 24 * 60 * MINUTE,
    bulk_lifetime=24 * 60 * MINUTE,
)
ROLLS = st.floats(0, 1, exclude_max=True)
SCHEDULES = st.builds(
    RetrySchedule,
    waits=st.lists(st.integers(1_000, 10 * 24 * 3_600_000), min_size=1, max_size=12).map(
        lambda waits: tuple(sorted(waits))
    ),
    jitter=st.floats(0, 0.5),
    lifetime=st.integers(60_000, 30 * 24 * 3_600_000),
    bulk_lifetime=st.integers(60_000, 30 * 24 * 3_600_000),
)


def after(*, attempts=0, now=NOW, expires_at=NOW + DEFAULT.lifetime, roll=0.5, **facts):
    facts = {"success": False, "permanent": False} | facts
    who = recipient(attempts=attempts, expires_at=expires_at)
    return decide(who, now=now, schedule=DEFAULT, roll=roll, **facts)


@pytest.mark.parametrize(
    ("facts", "status", "due_at"),
    [
        ({"success": True}, Status.DELIVERED, 0),
        ({"permanent": True}, Status.BOUNCED, 0),
        ({"attempts": 0}, Status.DEFERRED, NOW + 5 * MINUTE),
        ({"attempts": 1}, Status.DEFERRED, NOW + 15 * MINUTE),
        ({"attempts": 2}, Status.DEFERRED, NOW + 30 * MINUTE),
        ({"attempts": 3}, Status.DEFERRED, NOW + 60 * MINUTE),
        ({"attempts": 4}, Status.DEFERRED, NOW + 120 * MINUTE),
        ({"attempts": 5}, Status.DEFERRED, NOW + 240 * MINUTE),
        ({"attempts": 6}, Status.DEFERRED, NOW + 240 * MINUTE),  # the last wait repeats
        ({"attempts": 99}, Status.DEFERRED, NOW + 240 * MINUTE),
        ({"roll": 0.0}, Status.DEFERRED, NOW + 270_000),  # 10 % earlier
        ({"expires_at": NOW + 1}, Status.DEFERRED, NOW + 1),  # the last attempt, at the end
        ({"expires_at": NOW}, Status.EXPIRED, 0),
        ({"expires_at": NOW - 1}, Status.EXPIRED, 0),
        ({"expires_at": NOW - 1, "success": True}, Status.DELIVERED, 0),  # late, but it arrived
        ({"expires_at": NOW - 1, "permanent": True}, Status.BOUNCED, 0),
    ],
)
def test_the_decision_is_the_one_of_the_table(facts, status, due_at):
    decision = after(**facts)
    assert (decision.status, decision.due_at) == (status, due_at)


@pytest.mark.parametrize("facts", [{"success": True}, {"permanent": True}, {}, {"expires_at": 1}])
def test_the_event_tells_of_the_state_and_the_move_is_legal(facts):
    decision = after(**facts)
    assert decision.event == EventKind(decision.status)
    assert may_move(Status.QUEUED, decision.status)
    assert may_move(Status.DEFERRED, decision.status)


def test_bulk_is_given_up_after_its_own_queue_life():
    assert DEFAULT.expiry(NOW, TrafficClass.BULK) == NOW + DEFAULT.bulk_lifetime
    assert DEFAULT.expiry(NOW, TrafficClass.TRANSACTIONAL) == NOW + DEFAULT.lifetime


@given(SCHEDULES, st.integers(1, 50), ROLLS)
def test_a_wait_stays_within_its_jitter(schedule, attempts, roll):
    wait = schedule.waits[min(attempts, len(schedule.waits)) - 1]
    found = schedule.wait_after(attempts, roll)
    assert wait * (1 - schedule.jitter) - 1 <= found <= wait * (1 + schedule.jitter) + 1
    assert found > 0


@given(SCHEDULES, st.integers(1, 50), ROLLS)
def test_waits_never_shrink_from_one_attempt_to_the_next(schedule, attempts, roll):
    assert schedule.wait_after(attempts, roll) <= schedule.wait_after(attempts + 1, roll)


@given(SCHEDULES, st.integers(1, 50), ROLLS, ROLLS)
def test_a_higher_roll_never_makes_the_wait_shorter(schedule, attempts, one, other):
    low, high = sorted((one, other))
    assert schedule.wait_after(attempts, low) <= schedule.wait_after(attempts, high)


@given(
    SCHEDULES,
    st.integers(0, 100),
    st.integers(-3_600_000, 40 * 24 * 3_600_000),
    st.booleans(),
    st.booleans(),
    ROLLS,
)
def test_nothing_is_due_after_its_end_and_only_what_is_over_expires(
    schedule, attempts, left, success, permanent, roll
):
    who = recipient(attempts=attempts, expires_at=NOW + left)
    found = decide(who, success=success, permanent=permanent, now=NOW, schedule=schedule, roll=roll)
    if found.status is Status.DEFERRED:
        assert NOW < found.due_at <= who.expires_at
    else:
        assert found.due_at == 0
    assert (found.status is Status.EXPIRED) == (left <= 0 and not success and not permanent)


@given(SCHEDULES, ROLLS, st.integers(1, 200 * 1_000))
def test_a_receiver_that_always_defers_meets_a_last_attempt_at_the_end_of_the_queue_life(
    schedule, roll, lifetime
):
    who, now = recipient(expires_at=NOW + lifetime), NOW
    for attempts in range(1_000):  # waits are of a second at least, halved by jitter at most
        found = decide(
            recipient(attempts=attempts, expires_at=who.expires_at),
            success=False,
            permanent=False,
            now=now,
            schedule=schedule,
            roll=roll,
        )
        if found.status is Status.EXPIRED:
            break
        now = found.due_at
    assert found.status is Status.EXPIRED
    assert now == who.expires_at
