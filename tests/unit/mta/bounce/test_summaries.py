"""What a sender was not told of one by one: the summary is done with only when it is stored."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreFullError
from mta.bounce.notices import Notices
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import plain, untried
from mta.status import EventKind, Status
from tests.support.recipients import message, recipient

SCHEDULE = RetrySchedule(waits=(1000,), jitter=0.0, lifetime=clock.DAY, bulk_lifetime=clock.DAY)
LATER = 1_790_000_000_000 + 10 * clock.DAY


@pytest.fixture
def now(monkeypatch):
    at = SimpleNamespace(now=LATER)
    monkeypatch.setattr(clock, "now_ms", lambda: at.now)
    return at


@pytest.fixture
def notices(now):
    numbers = itertools.count(1)
    return Notices(
        shard=SimpleNamespace(new_id=lambda _: next(numbers)),
        directory=lambda: SimpleNamespace(box_keys=None),
        schedule=SCHEDULE,
        hostname="box.lab",
        per_hour=1,
    )


def fail(notices, times, sender="orders@shop.example.com"):
    """So many messages expire; how many notices that makes."""
    end = plain(recipient(), Status.EXPIRED, EventKind.EXPIRED, "too late", LATER)
    letter = message(envelope_from=sender)
    return sum(len(notices.for_outcomes(letter, [untried(end)], b"")) for _ in range(times))


def test_a_summary_that_could_not_be_stored_is_made_anew(notices, now):
    assert fail(notices, 4) == 1
    now.now += clock.HOUR

    def store():
        for _ in notices.summaries(now.now):
            raise StoreFullError("no space left")

    for _ in range(3):
        with pytest.raises(StoreFullError):
            store()
    [summary] = notices.summaries(now.now)
    assert b"3 failure notices were" in summary.content
    assert list(notices.summaries(now.now)) == []
    assert fail(notices, 1) == 1, "an hour of its own"


def test_one_that_fails_keeps_none_behind_it_from_the_next_look(notices, now):
    for sender in ("a@shop.example.com", "b@shop.example.com", "c@shop.example.com"):
        fail(notices, 2, sender)
    now.now += clock.HOUR
    stored = []
    made = notices.summaries(now.now)
    stored.append(next(made).recipients[0].address)
    next(made)  # the first is stored, this one is not
    made.close()
    stored += [one.recipients[0].address for one in notices.summaries(now.now)]
    assert stored == ["a@shop.example.com", "b@shop.example.com", "c@shop.example.com"]


def test_what_is_kept_back_while_a_summary_is_stored_is_told_of_an_hour_later(notices, now):
    fail(notices, 3)
    now.now += clock.HOUR
    for summary in notices.summaries(now.now):
        assert b"2 failure notices were" in summary.content
        fail(notices, 5)
    assert list(notices.summaries(now.now)) == []
    now.now += clock.HOUR
    [summary] = notices.summaries(now.now)
    assert b"5 failure notices were" in summary.content


def test_an_hour_that_begins_while_a_summary_is_stored_counts(notices, now):
    for sender in ("a@shop.example.com", "b@shop.example.com"):
        fail(notices, 1 + (sender[0] == "a"), sender)
    now.now += clock.HOUR
    for _ in notices.summaries(now.now):
        assert fail(notices, 3, "b@shop.example.com") == 1
    now.now += clock.HOUR
    [summary] = notices.summaries(now.now)
    assert b"2 failure notices were" in summary.content
