"""What holds of throttles whatever receivers say and when."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from mta.shaping.model import ActionKind, Rate, Zone
from mta.shaping.moves import FLOOR, FREE, RESUME, STEP_DOWN, STEP_UP
from mta.shaping.throttle import ChangeKind
from mta.shaping.throttles import Throttles
from mta.status import Scope
from tests.support.throttling import (
    HOUR,
    MINUTE,
    NOW,
    TEN,
    action,
    answer,
    book,
    limits,
    provider,
    rule,
    slow_to,
)

rates = st.builds(Rate, st.integers(1, 200), st.sampled_from([1.0, 60.0, 90.0, 3600.0]))
configured = st.builds(
    limits,
    rate=st.none() | rates,
    connections=st.integers(1, 50),
    zone_connections=st.sampled_from([0, 1, 20]),
)
slowing = st.builds(
    slow_to,
    rate=st.none() | rates,
    connections=st.integers(0, 10),
    seconds=st.sampled_from([0.0, 60.0, 1800.0, 7200.0]),
)
suspending = st.builds(
    action,
    st.sampled_from([ActionKind.SUSPEND, ActionKind.SUSPEND_TENANT, ActionKind.SUSPEND_DOMAIN]),
    st.sampled_from([30.0, 900.0, 7200.0]),
)
scopes = st.sampled_from([Scope.SESSION, Scope.HOST, Scope.MESSAGE])
gaps = st.sampled_from([0, 1, 5000, 30_000, 59_999, MINUTE, 10 * MINUTE, HOUR])
stories = st.lists(st.tuples(gaps, slowing | suspending, scopes), min_size=1, max_size=30)


def run_until(throttles, now, until):
    """Step at every moment at which something is due; the changes."""
    changes = []
    while throttles.next_change_at <= until:
        now = max(now, throttles.next_change_at)
        changes += throttles.step(now)
    return changes


def play(limit, story):
    """The zone, its throttles after the story, every change, and when it was over."""
    zone = Zone("google", provider(configured=limit))
    throttles = Throttles(lambda: book(zone.provider))
    now, changes = NOW, []
    for gap, each, scope in story:
        changes += run_until(throttles, now, now + gap)
        now += gap
        changes += throttles.heard(answer(rule(each), zone=zone, scope=scope), now).changes
        check_bounds(throttles, zone, story)
    return zone, throttles, changes, now


def check_bounds(throttles, zone, story):
    """Never above the configured limit, never below the floor."""
    limit = zone.provider.limits
    asked = [each.rate.per_second for _, each, _ in story if each.rate is not None]
    full = (limit.message_rate or FREE).per_second
    floor = min([FLOOR.per_second, RESUME.per_second, full, *asked])
    for tenant_id in (0, 7):
        rate = throttles.rate("out1", zone, tenant_id)
        if rate is None:
            assert limit.message_rate is None
        else:
            assert floor - 1e-9 <= rate.per_second
            assert limit.message_rate is None or rate.per_second <= full
    connections = throttles.connections("out1", zone)
    if limit.zone_connections:
        assert 1 <= connections <= limit.zone_connections
    else:
        assert 0 <= connections <= limit.connections


@given(limit=configured, story=stories)
@example(limit=limits(), story=[(0, slow_to(TEN), Scope.HOST)] * 2)
def test_no_rate_above_the_limit_none_below_the_floor(limit, story):
    zone, throttles, _, now = play(limit, story)
    while throttles.in_force:
        now = throttles.next_change_at
        throttles.step(now)
        check_bounds(throttles, zone, story)
    assert throttles.rate("out1", zone, 7) == limit.message_rate
    assert throttles.connections("out1", zone) == limit.zone_connections


@given(limit=configured, story=stories)
def test_a_minute_between_steps_down_and_ten_between_steps_up(limit, story):
    _, throttles, changes, now = play(limit, story)
    changes += run_until(throttles, now, now + 100 * HOUR)
    moments = {}
    for change in changes:
        moments.setdefault((change.subject, change.kind), []).append(change.at)
    for (_, kind), at in moments.items():
        between = [later - earlier for earlier, later in pairwise(at)]
        if kind is ChangeKind.SLOWED:
            assert all(gap >= STEP_DOWN for gap in between)
        if kind is ChangeKind.FASTER:
            assert all(gap >= STEP_UP for gap in between)


@given(limit=configured, story=stories)
def test_whatever_was_said_all_is_normal_in_bounded_time(limit, story):
    """Longest: two hours suspended or quiet, then from 1/h (12 doublings to 100/s and 8 eighths)."""
    _, throttles, _, now = play(limit, story)
    run_until(throttles, now, now + 4 * HOUR + 32 * STEP_UP)
    assert throttles.in_force == 0


@given(limit=configured, story=stories)
def test_a_process_that_is_told_everything_knows_the_same(limit, story):
    zone, throttles, _, now = play(limit, story)
    other = Throttles(lambda: book(zone.provider))
    other.load(throttles.dirty(), now)
    for tenant_id, domain in ((7, "example.com"), (8, "example.com"), (8, "example.net")):
        theirs = other.wait("out1", zone, tenant_id, domain, now)
        assert theirs == throttles.wait("out1", zone, tenant_id, domain, now)
        assert other.rate("out1", zone, tenant_id) == throttles.rate("out1", zone, tenant_id)
    assert other.connections("out1", zone) == throttles.connections("out1", zone)
    assert other.in_force == throttles.in_force
