"""A clock that goes back by hours: what is slowed or suspended stays so no longer for that."""

from __future__ import annotations

import pytest

from mta.shaping.model import ActionKind
from mta.shaping.throttle import ChangeKind
from mta.shaping.throttles import CLOCK_BACK, Throttles
from tests.support.throttling import (
    GOOGLE,
    HOUR,
    MINUTE,
    NOW,
    PAIR,
    action,
    answer,
    book,
    rule,
    slow_to,
    throttle,
)

BACK = 6 * HOUR
THEN = NOW - BACK
"""What the clock says after that."""

SUSPEND = rule(action(ActionKind.SUSPEND, 1800.0))
SLOW = rule(slow_to(seconds=1800.0))


@pytest.fixture
def throttles():
    return Throttles(book)


def waits(throttles, now):
    found = throttles.wait("out1", GOOGLE, 7, "example.com", now)
    return 0 if found is None else found.until - now


def test_a_suspension_ends_after_the_time_that_it_was_for(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    throttles.step(NOW + 10 * MINUTE)
    throttles.step(THEN)
    assert waits(throttles, THEN) == 20 * MINUTE
    assert throttles.next_change_at <= THEN + 20 * MINUTE
    (change,) = throttles.step(THEN + 20 * MINUTE)
    assert change.kind is ChangeKind.RESUMED
    assert waits(throttles, THEN + 20 * MINUTE) == 0


def test_speed_comes_back_when_it_would_have(throttles):
    throttles.heard(answer(SLOW), NOW)
    throttles.step(NOW + 10 * MINUTE)
    throttles.step(THEN)
    assert throttles.step(THEN + 20 * MINUTE - 1) == []
    (change,) = throttles.step(THEN + 20 * MINUTE)
    assert change.kind is ChangeKind.FASTER


def test_a_receiver_that_is_still_displeased_is_heard_at_once(throttles):
    throttles.heard(answer(SLOW), NOW)
    throttles.step(NOW + 2 * MINUTE)
    throttles.step(THEN)
    (change,) = throttles.heard(answer(SLOW), THEN).changes
    assert change.kind is ChangeKind.SLOWED


def test_what_is_moved_is_stored_and_holds_in_every_process(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    throttles.saved(throttles.dirty())
    other = Throttles(book)
    other.load(throttles.live(), NOW)
    for each in (throttles, other):
        each.step(NOW)
        each.step(THEN)
    other.load(throttles.dirty(), THEN)
    assert waits(other, THEN) == waits(throttles, THEN) == 30 * MINUTE
    late = Throttles(book)
    late.load([throttle(PAIR, suspended_until=NOW + HOUR, changed_at=NOW)], NOW)
    late.load(throttles.dirty(), THEN)
    assert waits(late, THEN) == 30 * MINUTE


def test_answers_of_a_time_to_come_are_not_counted_with_those_of_today(throttles):
    thrice = rule(action(ActionKind.SUSPEND), times=3)
    for _ in range(2):
        throttles.heard(answer(thrice), NOW)
    throttles.step(NOW)
    throttles.step(THEN)
    assert throttles.heard(answer(thrice), THEN).changes == ()


def test_a_moment_is_waited_out(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    throttles.saved(throttles.dirty())
    throttles.step(NOW)
    throttles.step(NOW - CLOCK_BACK)
    assert throttles.dirty() == []
    assert waits(throttles, NOW) == 30 * MINUTE
