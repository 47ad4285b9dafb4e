"""A clock that goes back, under a living owner or between two: what was tried before does not wait for it."""

from __future__ import annotations

import pytest

from mta.spool.store import CLOCK_BACK
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient, settlement
from tests.support.spools import MINUTE

HOUR = 60 * MINUTE


@pytest.fixture
def waiting(spool):
    """One that is tried again in five minutes, one that was asked to leave in five."""
    people = [recipient(1, 0), recipient(1, 1, due_at=NOW + 5 * MINUTE)]
    spool.write(admitted(1, *people))
    spool.write(settle=(settlement(people[0], Status.DEFERRED, due_at=NOW + 5 * MINUTE),))
    beat(spool, NOW)
    return spool


def beat(spool, now):
    spool.now = now
    spool.write(then=lambda store, batch: store.purge(0, batch.now, 100))


def due(spool):
    return [who.due_at for who in spool.store.recipients(1)]


def test_the_next_try_comes_as_soon_as_it_would_have_and_a_wish_keeps_its_time(waiting):
    beat(waiting, NOW - 2 * HOUR)
    assert due(waiting) == [NOW - 2 * HOUR + 5 * MINUTE, NOW + 5 * MINUTE]
    beat(waiting, NOW - 2 * HOUR + 1000)
    assert due(waiting)[0] == NOW - 2 * HOUR + 5 * MINUTE


def test_what_came_in_just_before_is_due_at_once(waiting):
    waiting.write(admitted(2, recipient(2, due_at=NOW + 900)))
    beat(waiting, NOW - 2 * HOUR)
    assert waiting.store.recipients(2)[0].due_at == NOW - 2 * HOUR + 900


def test_it_is_seen_by_the_next_owner_too(waiting):
    waiting.now = NOW - 2 * HOUR
    waiting.reopen()
    assert due(waiting) == [NOW - 2 * HOUR + 5 * MINUTE, NOW + 5 * MINUTE]


@pytest.mark.parametrize("moved", [-CLOCK_BACK, 2 * HOUR])
def test_a_small_step_and_one_forwards_change_nothing(waiting, moved):
    beat(waiting, NOW + moved)
    waiting.now = NOW + moved
    waiting.reopen()
    assert due(waiting) == [NOW + 5 * MINUTE] * 2
