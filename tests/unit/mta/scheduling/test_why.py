"""What a recipient waits for, as one of few words; and destinations summed up by it."""

from __future__ import annotations

import pytest

from mta.message import Recipient
from mta.outcome.category import Category
from mta.scheduling.blocked import Blocked
from mta.scheduling.census import Group
from mta.scheduling.reasons import by_reason, reasons_of
from mta.scheduling.why import MEANING, SENTENCES, TITLES, Why, why_of, words_of
from mta.status import Status, TrafficClass

NOW = 1_800_000_000_000
LATER = NOW + 60_000


def waiting(status=Status.DEFERRED, reason="", due_at=LATER, attempts=1, host="mx.lab"):
    return Recipient(
        message_id=1,
        n=0,
        tenant_id=1,
        traffic_class=TrafficClass.BULK,
        address="joe@example.net",
        domain="example.net",
        status=status,
        due_at=due_at,
        expires_at=NOW + 10 * 60_000,
        attempts=attempts,
        reason=reason,
        last_host=host,
        last_egress="out1",
    )


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("451 4.7.500 Server busy. Please try again later. (S77719)", Why.SLOWED),
        ("421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints", Why.SLOWED),
        ("450 4.2.0 Greylisted, please try again in 300 seconds", Why.GREYLISTED),
        ("452 4.2.2 The recipient's mailbox is full", Why.MAILBOX_FULL),
        ("451 4.4.1 cannot connect to mx.lab [192.0.2.1]: no answer", Why.CANNOT_CONNECT),
        ("451 4.4.3 DNS could not answer for example.net", Why.CANNOT_LOOK_UP),
        ("451 4.7.5 TLS failed: certificate expired", Why.NO_TLS),
        ("451 4.3.0 temporary system problem", Why.TROUBLE),
        ("450 4.7.1 not from you, not today", Why.REFUSED),
        ("something that is no answer", Why.TROUBLE),
    ],
)
def test_an_answer_is_shown_as_what_it_meant_when_it_was_heard(words, kind):
    assert why_of(waiting(reason=words), None, NOW) is kind


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (("closed", "all"), Why.STOPPED),
        (("closed", "tenant", "7"), Why.TENANT_SUSPENDED),
        (("closed", "pool", "main"), Why.NO_ADDRESS),
        (("paused", "3"), Why.PAUSED),
        (("lane", "", "mx.lab", "7", "bulk"), Why.OUR_LIMIT),
        (("warmup", "", "google", "bulk"), Why.WARMUP),
        (("zone", "", "google"), Why.SUSPENDED),
        (("site", "", "mx.lab"), Why.CANNOT_CONNECT),
        (("pace", "out1", "google", "7"), Why.SLOWED),
    ],
)
def test_what_keeps_it_back_now_goes_before_what_was_answered(place, kind):
    one = waiting(reason="450 4.2.0 Greylisted", due_at=NOW)
    assert why_of(one, Blocked(place, 0, "words"), NOW) is kind


def test_what_is_due_and_free_to_go_is_leaving_and_what_was_never_tried_is_scheduled():
    assert why_of(waiting(reason="450 4.2.0 Greylisted", due_at=NOW), None, NOW) is Why.LEAVING
    assert why_of(waiting(Status.QUEUED, attempts=0), None, NOW) is Why.SCHEDULED


def test_a_persons_hold_is_told_from_that_of_a_limit():
    assert why_of(waiting(Status.HELD, "held by ann"), None, NOW) is Why.HELD
    words = "this login sends more than 10 times its usual rate"
    assert why_of(waiting(Status.HELD, words), None, NOW) is Why.SURGE


def test_words_are_an_answer_and_never_what_a_person_did():
    assert words_of(waiting(reason="451 4.7.1 later")) == "451 4.7.1 later"
    assert words_of(waiting(reason="released by ann")) == ""


def test_every_kind_has_its_words_and_every_category_its_kind():
    assert set(TITLES) == set(SENTENCES) == set(Why)
    assert all(len(words.split()) <= 4 for words in TITLES.values())
    assert set(MEANING) == set(Category)


# -- summed up -------------------------------------------------------------------


def group(name, kind, count, *, status="deferred", oldest=100):
    return Group(
        name=name,
        provider="",
        status=status,
        count=count,
        oldest=oldest,
        next_due=oldest + count,
        reason=f"because of {name}",
        kind=kind,
        words="",
        egress="",
        until=0,
        due_soon=1,
    )


GROUPS = [
    group("a.lab", Why.SLOWED, 50),
    group("b.lab", Why.WARMUP, 30),
    group("c.lab", Why.SLOWED, 20, oldest=90),
    group("a.lab", Why.SLOWED, 5, status="queued"),
]


def test_destinations_are_summed_up_by_kind_with_the_fullest_as_the_example():
    slowed, warmup = reasons_of(GROUPS, 105, [])
    assert (slowed.kind, slowed.recipients, slowed.destinations) == (Why.SLOWED, 75, 2)
    assert (slowed.example, slowed.most) == ("a.lab", 55)
    assert (warmup.kind, warmup.recipients, warmup.destinations) == (Why.WARMUP, 30, 1)


def test_what_was_not_looked_at_is_said_and_counted():
    places = [("a.lab", "deferred"), ("x.lab", "queued"), ("x.lab", "held"), ("y.lab", "held")]
    rest = reasons_of(GROUPS, 1105, places)[0]
    assert (rest.kind, rest.recipients, rest.destinations) == (Why.NOT_LOOKED_AT, 1000, 2)
    assert (rest.example, rest.most) == ("", 0)


def test_groups_by_reason_are_told_by_their_oldest():
    slowed, warmup, queued = by_reason(GROUPS)
    assert (slowed.name, slowed.status, slowed.count) == ("slowed", "deferred", 70)
    assert (slowed.oldest, slowed.next_due, slowed.due_soon) == (90, 110, 2)
    assert slowed.reason == "because of c.lab"
    assert (warmup.name, queued.name, queued.status) == ("warmup", "slowed", "queued")
