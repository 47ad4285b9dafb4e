"""How a throttle goes down and comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.shaping.model import ActionKind, Rate
from mta.shaping.moves import STEP_UP, lift, next_at, normal_at, slow, suspend, up
from mta.shaping.throttle import ChangeKind, Subject
from tests.support.throttling import (
    HOUR,
    HUNDRED,
    MINUTE,
    NOW,
    ONE,
    PAIR,
    SECOND,
    TEN,
    action,
    fault,
    limits,
    slow_to,
    throttle,
)

FRESH = throttle(changed_at=0, heard_at=0)
SUSPEND = action(ActionKind.SUSPEND, 3600)


def per(count, seconds):
    return Rate(count, float(seconds))


SIX = per(6, 3600)


@pytest.mark.parametrize(
    ("asked", "limit", "rate"),
    [
        (TEN, HUNDRED, TEN),
        (TEN, None, TEN),
        (None, HUNDRED, None),
        (TEN, per(5, 60), per(2, 60)),  # slower than the rule asks for already: half of that
        (TEN, TEN, per(5, 60)),
        (TEN, SIX, None),  # no slower than the floor
        (per(1, 3600), HUNDRED, per(1, 3600)),  # a rule may ask for less than the floor
        (per(1, 3600), per(1, 3600), None),
    ],
)
def test_the_first_step_down(asked, limit, rate):
    assert slow(FRESH, slow_to(asked), fault(), limits(limit)).rate == rate


@pytest.mark.parametrize(
    ("rate", "asked", "lower"),
    [
        (TEN, TEN, per(5, 60)),
        (per(5, 60), TEN, per(2, 60)),
        (per(2, 60), TEN, ONE),
        (ONE, TEN, per(30, 3600)),
        (per(7, 3600), TEN, SIX),
        (SIX, TEN, SIX),
        (per(40, 60), TEN, TEN),  # on its way back: down to what the rule asks for
        (TEN, ONE, ONE),  # another rule asks for less
        (TEN, None, TEN),
        (per(1, 3600), per(1, 3600), per(1, 3600)),
        (SIX, per(1, 3600), per(1, 3600)),
        (per(1, 1), HUNDRED, per(30, 60)),
        (per(1, 1), per(10, 1), per(30, 60)),
    ],
)
def test_a_step_down_of_a_rate(rate, asked, lower):
    before = throttle(rate=rate, slowed_at=NOW - HOUR)
    assert slow(before, slow_to(asked), fault(), limits(per(100, 1))).rate == lower


@pytest.mark.parametrize(
    ("before", "asked", "limit", "after"),
    [
        (0, 1, limits(connections=5), 1),
        (0, 3, limits(connections=5), 3),
        (0, 0, limits(connections=5), 0),
        (3, 3, limits(connections=5), 1),
        (8, 10, limits(connections=20), 4),
        (1, 1, limits(connections=5), 1),
        (0, 5, limits(connections=5), 2),
        (0, 1, limits(connections=1), 0),  # nothing is left to take away
        (0, 8, limits(connections=5, zone_connections=20), 8),
    ],
)
def test_a_step_down_of_connections(before, asked, limit, after):
    standing = throttle(connections=before, rate=ONE)
    assert slow(standing, slow_to(None, asked), fault(), limit).connections == after


def test_a_step_down_is_told_with_its_cause():
    slowed = slow(FRESH, slow_to(TEN, 1), fault(), limits())
    assert (slowed.steps, slowed.slowed_at, slowed.heard_at) == (1, NOW, NOW)
    assert slowed.fault == fault()
    (change,) = slowed.history
    assert change.kind is ChangeKind.SLOWED
    assert change.words == (
        "slowed to 10/min, 1 connection: google-unusual-rate: 421 4.7.28 Our system has detected an"
        " unusual rate of unsolicited mail"
    )


def test_nothing_is_kept_of_a_fault_that_cannot_slow_anybody():
    assert slow(FRESH, slow_to(TEN), fault(), limits(SIX)) is FRESH
    tenant = replace(FRESH, subject=Subject("out1", "google", 7))
    assert slow(tenant, slow_to(None, 1), fault(), limits()) is tenant, "it has no connections"


def test_less_than_a_minute_after_a_step_down_there_is_no_other():
    slowed = slow(FRESH, slow_to(TEN), fault(NOW), limits())
    soon = slow(slowed, slow_to(ONE, 1), fault(NOW + MINUTE - 1), limits())
    assert (soon.rate, soon.connections, soon.history) == (TEN, 0, slowed.history)
    assert soon.heard_at == NOW + MINUTE - 1, "but the quiet time begins anew"
    assert slow(slowed, slow_to(TEN), fault(NOW + MINUTE), limits()).rate == per(5, 60)


def test_faults_in_quick_succession_are_not_stored_one_by_one():
    slowed = slow(FRESH, slow_to(TEN), fault(NOW), limits())
    assert slow(slowed, slow_to(TEN), fault(NOW + 9 * SECOND), limits()) is slowed
    noted = slow(slowed, slow_to(TEN), fault(NOW + 10 * SECOND), limits())
    assert noted.changed_at == noted.heard_at == NOW + 10 * SECOND


@pytest.mark.parametrize(
    ("rate", "limit", "faster"),
    [
        (TEN, HUNDRED, per(20, 60)),  # never more than twice what it was
        (per(20, 60), HUNDRED, per(33, 60)),  # an eighth of the limit more
        (per(33, 60), HUNDRED, per(46, 60)),
        (per(90, 60), HUNDRED, None),
        (ONE, per(100, 1), per(2, 60)),
        (per(40, 60), None, per(80, 60)),
        (per(99, 1), None, None),
        (per(1, 3600), per(3, 3600), per(2, 3600)),
        (per(2, 3600), per(3, 3600), None),
        (per(1, 1_000_000), ONE, per(1, 500_000)),
    ],
)
def test_a_step_up_of_a_rate(rate, limit, faster):
    assert up(throttle(rate=rate), limits(limit), NOW + HOUR).rate == faster


@pytest.mark.parametrize(
    ("connections", "rate", "limit", "lower"),
    [
        (0, None, limits(connections=5), None),  # fewer connections are enough for a start
        (1, None, limits(connections=5), TEN),
        (0, None, limits(connections=1), TEN),
        (1, TEN, limits(connections=5), per(5, 60)),
        (1, SIX, limits(connections=5), SIX),
    ],
)
def test_where_no_connection_is_left_to_take_away_the_rate_falls(connections, rate, limit, lower):
    standing = throttle(connections=connections, rate=rate)
    assert slow(standing, slow_to(None, 1), fault(), limit).rate == lower


@pytest.mark.parametrize(
    ("connections", "limit", "more"),
    [(1, 5, 2), (2, 5, 3), (4, 5, 0), (1, 1, 0), (1, 100, 2), (50, 100, 62), (90, 100, 0)],
)
def test_a_step_up_of_connections(connections, limit, more):
    standing = throttle(connections=connections)
    assert up(standing, limits(connections=limit), NOW + HOUR).connections == more


def test_the_first_step_up_comes_after_the_rule_s_quiet_time_the_next_ten_minutes_later():
    slowed = slow(FRESH, slow_to(TEN, seconds=1800), fault(), limits())
    assert next_at(slowed) == NOW + 30 * MINUTE
    raised = up(slowed, limits(), next_at(slowed))
    assert next_at(raised) == NOW + 30 * MINUTE + STEP_UP
    noted = slow(raised, slow_to(TEN, seconds=1800), fault(NOW + 35 * MINUTE), limits())
    assert noted.rate == TEN
    assert next_at(noted) == NOW + 65 * MINUTE


def test_a_rule_without_a_time_is_quiet_for_a_minute():
    slowed = slow(FRESH, slow_to(TEN, seconds=0), fault(), limits())
    assert next_at(slowed) == NOW + MINUTE


def test_the_longest_quiet_time_asked_for_holds():
    slowed = slow(FRESH, slow_to(TEN, seconds=3600), fault(), limits())
    slowed = slow(slowed, slow_to(TEN, seconds=60), fault(NOW + 5 * MINUTE), limits())
    assert next_at(slowed) == NOW + 5 * MINUTE + HOUR


def test_a_suspension_ends_at_its_time_and_goes_on_slowly():
    suspended = suspend(FRESH, SUSPEND, fault(), limits())
    assert suspended.suspended_until == next_at(suspended) == NOW + HOUR
    assert suspended.history[-1].words.startswith("suspended until 09:00Z: google-unusual-rate: ")
    resumed = up(suspended, limits(), NOW + HOUR)
    assert (resumed.suspended_until, resumed.rate, resumed.connections) == (0, TEN, 1)
    assert resumed.history[-1].words == "back to 10/min, 1 connection"
    assert next_at(resumed) == NOW + HOUR + STEP_UP


def test_a_suspension_makes_nobody_faster():
    slowed = throttle(rate=ONE, connections=1)
    suspended = suspend(slowed, SUSPEND, fault(NOW + 5), limits())
    assert (suspended.rate, suspended.connections) == (ONE, 1)
    assert suspend(FRESH, SUSPEND, fault(), limits(per(5, 60))).rate == per(5, 60)


def test_a_suspended_tenant_comes_back_slowly_but_has_no_connections_of_its_own():
    tenant = replace(FRESH, subject=Subject("out1", "google", 7))
    suspended = suspend(tenant, SUSPEND, fault(), limits())
    assert (suspended.rate, suspended.connections) == (TEN, 0)


def test_a_suspended_domain_just_goes_on_afterwards():
    domain = replace(FRESH, subject=Subject("out1", "google", 0, "example.com"))
    suspended = suspend(domain, SUSPEND, fault(), limits())
    ended = up(suspended, limits(), NOW + HOUR)
    assert not ended.in_force
    assert ended.history[-1].kind is ChangeKind.ENDED


def test_answers_from_before_a_suspension_neither_prolong_it_nor_change_its_cause():
    suspended = suspend(FRESH, SUSPEND, fault(), limits())
    late = suspend(suspended, SUSPEND, fault(NOW + 30 * SECOND, "other"), limits())
    late = slow(late, slow_to(ONE, 1), fault(NOW + 59 * SECOND, "other"), limits())
    assert late.suspended_until == NOW + HOUR
    assert late.fault.rule == "google-unusual-rate"
    assert late.history == suspended.history


def test_a_longer_suspension_takes_the_place_of_a_shorter_one():
    suspended = suspend(FRESH, SUSPEND, fault(), limits())
    longer = suspend(suspended, action(ActionKind.SUSPEND, 14_400), fault(NOW + 5, "two"), limits())
    assert (longer.suspended_until, longer.fault.rule) == (NOW + 5 + 4 * HOUR, "two")
    assert suspend(longer, SUSPEND, fault(NOW + 6), limits()).suspended_until == NOW + 5 + 4 * HOUR


def test_whoever_is_back_at_the_limit_keeps_only_the_history():
    ended = up(throttle(rate=Rate(95, 60.0), connections=4, steps=3), limits(), NOW + HOUR)
    assert not ended.in_force
    assert (ended.steps, ended.quiet) == (0, 0)
    assert ended.history[-1].words == "back to the configured limits"
    assert ended.state(NOW + HOUR) == "as configured"


def test_a_person_ends_it_at_once():
    lifted = lift(throttle(rate=ONE), NOW + 1, by="ann", reason="they called")
    assert not lifted.in_force
    assert lifted.history[-1].words == "lifted by ann: they called"


def test_when_all_is_normal_again_can_be_told_beforehand():
    slowed = slow(FRESH, slow_to(TEN, 1, seconds=1800), fault(), limits())
    # 10, 20, 33, 46, 59, 72, 85, 98 a minute, then the limit of 100
    assert normal_at(slowed, limits()) == NOW + 30 * MINUTE + 7 * STEP_UP
    assert normal_at(suspend(slowed, SUSPEND, fault(NOW + 1), limits()), limits()) > NOW + HOUR


def test_every_move_is_newer_than_the_one_before_whatever_the_clock_does():
    slowed = slow(FRESH, slow_to(TEN), fault(NOW), limits())
    earlier = suspend(slowed, SUSPEND, fault(NOW - HOUR), limits())
    assert earlier.changed_at == slowed.changed_at + 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"suspended_until": NOW + HOUR, "rate": TEN}, "suspended until 09:00Z"),
        ({"suspended_until": NOW + 30 * HOUR}, "suspended until 2027-01-16 14:00Z"),
        ({"suspended_until": NOW, "rate": TEN, "connections": 1}, "slowed to 10/min, 1 connection"),
        ({"connections": 3}, "slowed to 3 connections"),
        ({}, "as configured"),
    ],
)
def test_how_it_stands_in_words(facts, words):
    assert throttle(PAIR, **facts).state(NOW) == words
