"""The throttles of a process: what an answer changes, for whom, and what others learn of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.shaping.model import ActionKind, Rate, Zone
from mta.shaping.standing import KEPT
from mta.shaping.throttle import MAX_WORDS, ChangeKind, Subject
from mta.shaping.throttles import Throttles, Treat
from mta.status import Scope
from tests.support.throttling import (
    GOOGLE,
    HOUR,
    HUNDRED,
    MINUTE,
    NOW,
    ONE,
    PAIR,
    SITE,
    TEN,
    action,
    answer,
    book,
    limits,
    provider,
    rule,
    slow_to,
    throttle,
)

SUSPEND = rule(action(ActionKind.SUSPEND, 3600), name="suspicious")
SUSPEND_TENANT = rule(action(ActionKind.SUSPEND_TENANT, 3600), name="unaligned")
SUSPEND_DOMAIN = rule(action(ActionKind.SUSPEND_DOMAIN, 900), name="in-trouble")


@pytest.fixture
def throttles():
    return Throttles(book)


def waits(throttles, *, egress="out1", zone=GOOGLE, tenant=7, domain="example.com", now=NOW):
    return throttles.wait(egress, zone, tenant, domain, now)


def test_nothing_is_slowed_before_an_answer_says_so(throttles):
    assert waits(throttles) is None
    assert throttles.rate("out1", GOOGLE, 7) == HUNDRED
    assert throttles.connections("out1", GOOGLE) == 0
    assert throttles.step(NOW) == []


def test_a_suspension_holds_this_egress_at_this_zone_for_its_time(throttles):
    (change,) = throttles.heard(answer(SUSPEND), NOW).changes
    assert change.kind is ChangeKind.SUSPENDED
    wait = waits(throttles)
    assert wait.until == NOW + HOUR
    assert wait.why == (
        'Google suspended egress out1 until 09:00Z: "421 4.7.28 Our system has detected an unusual'
        ' rate of unsolicited mail" (rule suspicious)'
    )
    assert waits(throttles, egress="out2") is None
    assert waits(throttles, zone=SITE) is None
    assert waits(throttles, now=NOW + HOUR) is None


def test_the_fault_of_a_tenant_holds_that_tenant_only(throttles):
    throttles.heard(answer(SUSPEND_TENANT), NOW)
    assert waits(throttles, tenant=7).why.startswith(
        "Google suspended this tenant's mail from egress out1 until 09:00Z: "
    )
    assert waits(throttles, tenant=8) is None
    assert waits(throttles, tenant=0) is None


def test_what_is_said_of_a_message_slows_its_tenant_only(throttles):
    throttles.heard(answer(rule(slow_to(TEN, 1)), scope=Scope.MESSAGE), NOW)
    assert throttles.rate("out1", GOOGLE, 7) == TEN
    assert throttles.rate("out1", GOOGLE, 8) == HUNDRED
    assert throttles.rate("out1", GOOGLE) == HUNDRED
    assert throttles.connections("out1", GOOGLE) == 0


def test_what_is_said_of_a_recipient_slows_nobody(throttles):
    rules = (rule(slow_to(TEN, 1)), SUSPEND, SUSPEND_TENANT, SUSPEND_DOMAIN)
    heard = throttles.heard(answer(*rules, said="450 4.2.1 Too fast", scope=Scope.RECIPIENT), NOW)
    assert heard.changes == ()
    assert waits(throttles) is None
    assert throttles.rate("out1", GOOGLE, 7) == HUNDRED


def test_a_domain_in_trouble_holds_its_own_mail_only(throttles):
    throttles.heard(answer(SUSPEND_DOMAIN), NOW)
    assert "mail to example.com from egress out1" in waits(throttles).why
    assert waits(throttles, domain="example.net") is None


def test_the_slower_of_two_throttles_holds_for_a_tenant(throttles):
    throttles.heard(answer(rule(slow_to(ONE)), scope=Scope.MESSAGE), NOW)
    throttles.heard(answer(rule(slow_to(TEN)), scope=Scope.HOST), NOW)
    assert throttles.rate("out1", GOOGLE, 7) == ONE
    assert throttles.rate("out1", GOOGLE, 8) == TEN


def test_the_later_end_of_two_suspensions_holds(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    throttles.heard(answer(SUSPEND_DOMAIN), NOW)
    assert waits(throttles).until == NOW + HOUR


def test_connections_to_a_zone_are_never_more_than_configured():
    zone = Zone("google", provider(configured=limits(connections=5, zone_connections=8)))
    throttles = Throttles(lambda: book(zone.provider))
    assert throttles.connections("out1", zone) == 8
    throttles.heard(answer(rule(slow_to(None, 3)), zone=zone), NOW)
    assert throttles.connections("out1", zone) == 3
    fewer = Zone("google", provider(configured=limits(connections=2, zone_connections=2)))
    assert throttles.connections("out1", fewer) == 2, "the file was changed meanwhile"


def test_a_rule_that_wants_several_answers_counts_them_for_whom_they_blame(throttles):
    twice = rule(action(ActionKind.SUSPEND_TENANT), times=2)
    assert throttles.heard(answer(twice, tenant_id=7), NOW).changes == ()
    assert throttles.heard(answer(twice, tenant_id=8), NOW).changes == ()
    assert len(throttles.heard(answer(twice, tenant_id=7), NOW + 1).changes) == 1
    assert waits(throttles, tenant=8) is None


def test_answers_of_recipients_do_not_count_towards_slowing_everybody(throttles):
    twice = rule(slow_to(), times=2)
    throttles.heard(answer(twice, scope=Scope.RECIPIENT), NOW)
    assert throttles.heard(answer(twice, scope=Scope.HOST), NOW + 1).changes == ()


def test_one_answer_counts_once_however_many_actions_its_rule_has(throttles):
    both = rule(slow_to(), action(ActionKind.SUSPEND), action(ActionKind.NEXT_ADDRESS), times=2)
    assert not throttles.heard(answer(both), NOW).next_address
    heard = throttles.heard(answer(both), NOW + 1)
    assert [change.kind for change in heard.changes] == [
        ChangeKind.SLOWED,
        ChangeKind.SUSPENDED,
    ]
    assert heard.next_address


@pytest.mark.parametrize(
    ("actions", "treat", "wait"),
    [
        ([action(ActionKind.DEFER, 3600)], Treat.DEFER, HOUR),
        ([action(ActionKind.BOUNCE, 0)], Treat.BOUNCE, 0),
        ([action(ActionKind.SUSPEND, 60), action(ActionKind.NEXT_ADDRESS, 0)], Treat.DEFER, 0),
        ([action(ActionKind.DEFER, 60), action(ActionKind.BOUNCE, 0)], Treat.DEFER, MINUTE),
        ([action(ActionKind.SUSPEND, 60)], None, 0),
    ],
)
def test_how_the_answer_itself_is_to_be_taken(throttles, actions, treat, wait):
    heard = throttles.heard(answer(rule(*actions)), NOW)
    assert (heard.treat, heard.wait) == (treat, wait)


def test_a_host_whose_starttls_is_broken_gets_none_for_a_time(throttles):
    assert throttles.heard(answer(rule(action(ActionKind.PLAINTEXT, 60))), NOW).plaintext == MINUTE
    assert throttles.heard(answer(SUSPEND), NOW).plaintext == 0


def test_an_answer_that_no_rule_knows_changes_nothing(throttles):
    heard = throttles.heard(answer(), NOW)
    assert heard.treat is None
    assert heard.changes == ()
    assert throttles.in_force == 0


def test_the_remote_s_words_are_bounded_and_can_be_stored(throttles):
    said = "421 4.7.28 a\x00b\x1b[31m\udcff" + "x" * 10_000
    throttles.heard(answer(SUSPEND, said=said), NOW)
    (standing,) = throttles.dirty()
    assert len(standing.fault.reply) == MAX_WORDS
    assert standing.fault.reply.startswith("421 4.7.28 a b [31m x")
    assert standing.fault.reply.isprintable()


def test_a_site_without_a_provider_comes_back_to_the_default_limits(throttles):
    throttles.heard(answer(rule(slow_to(Rate(99, 1.0), seconds=60)), zone=SITE), NOW)
    assert throttles.rate("out1", SITE) == Rate(99, 1.0)
    (change,) = throttles.step(NOW + MINUTE)
    assert change.kind is ChangeKind.ENDED
    assert throttles.rate("out1", SITE) == Rate(100, 1.0)


def test_a_step_before_anything_is_due_looks_at_nobody(throttles, monkeypatch):
    for n in range(100):
        throttles.heard(answer(SUSPEND, egress=f"out{n}"), NOW)
    assert throttles.next_change_at == NOW + HOUR
    monkeypatch.setattr("mta.shaping.throttles.next_at", None)
    assert throttles.step(NOW + HOUR - 1) == []
    with pytest.raises(TypeError):
        throttles.step(NOW + HOUR)


def test_a_person_ends_a_throttle_and_what_was_heard_is_forgotten(throttles):
    twice = rule(action(ActionKind.SUSPEND), times=2)
    for at in (NOW, NOW + 1):
        throttles.heard(answer(twice), at)
    change = throttles.lift(PAIR, NOW + 2, by="ann", reason="they called")
    assert change.kind is ChangeKind.LIFTED
    assert waits(throttles, now=NOW + 3) is None
    assert throttles.heard(answer(twice), NOW + 4).changes == ()
    assert throttles.lift(PAIR, NOW + 5, by="ann", reason="again") is None


def test_explain_tells_what_holds_and_what_ended_within_a_day(throttles):
    throttles.heard(answer(SUSPEND_TENANT), NOW)
    throttles.heard(answer(rule(slow_to())), NOW + 1)
    throttles.heard(answer(SUSPEND, egress="out2"), NOW + 2)
    throttles.heard(answer(SUSPEND, egress="out3"), NOW + 3)
    throttles.heard(answer(SUSPEND, zone=SITE), NOW + 4)
    throttles.lift(Subject("out2", "google"), NOW + 5, by="ann", reason="done")
    found = throttles.explain({"out1", "out2"}, GOOGLE, NOW + 6)
    assert [(each.subject.egress, each.subject.tenant_id, each.in_force) for each in found] == [
        ("out1", 0, True),
        ("out1", 7, True),
        ("out2", 0, False),
    ]
    throttles.step(NOW + 5 + KEPT)
    assert all(each.in_force for each in throttles.explain({"out1", "out2"}, GOOGLE, NOW + KEPT))


def test_strangers_zones_take_bounded_memory():
    throttles = Throttles(book, max_live=100)
    for n in range(1000):
        zone = Zone(f"mx{n}.example.net:25", SITE.provider)
        throttles.heard(answer(SUSPEND, zone=zone), NOW + n)
    assert throttles.in_force == 100
    assert len(throttles.dirty()) == 100
    assert waits(throttles, zone=Zone("mx899.example.net:25", SITE.provider)) is None
    assert waits(throttles, zone=Zone("mx900.example.net:25", SITE.provider)) is not None
    assert throttles.connections("out1", Zone("mx0.example.net:25", SITE.provider)) == 0


# -- store and other processes ---------------------------------------------------


def test_what_is_dirty_stays_so_until_it_is_stored(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    stored = throttles.dirty()
    assert throttles.dirty() == stored, "storing it may have failed"
    throttles.heard(answer(rule(action(ActionKind.SUSPEND, 36_000))), NOW + MINUTE)
    throttles.saved(stored)
    (newer,) = throttles.dirty()
    assert newer.suspended_until == NOW + MINUTE + 10 * HOUR
    throttles.saved([newer])
    assert throttles.dirty() == []


def test_another_process_learns_of_a_suspension_and_of_its_end(throttles):
    other = Throttles(book)
    throttles.heard(answer(SUSPEND), NOW)
    other.load(throttles.dirty(), NOW)
    assert waits(other) == waits(throttles)
    assert other.dirty() == []
    throttles.lift(PAIR, NOW + 1, by="ann", reason="they called")
    other.load(throttles.dirty(), NOW + 1)
    assert waits(other) is None


def test_a_lift_by_another_process_forgets_what_was_heard_here(throttles):
    other, twice = Throttles(book), rule(action(ActionKind.SUSPEND), times=2)
    for at in (NOW, NOW + 1):
        throttles.heard(answer(twice), at)
    other.load(throttles.dirty(), NOW + 1)
    other.lift(PAIR, NOW + 2, by="ann", reason="they called")
    throttles.load(other.dirty(), NOW + 2)
    assert throttles.heard(answer(twice), NOW + 3).changes == ()


def test_of_two_versions_the_one_changed_later_holds(throttles):
    older, newer = (
        throttle(suspended_until=NOW + HOUR, changed_at=NOW),
        throttle(suspended_until=NOW + 2 * HOUR, changed_at=NOW + 1),
    )
    throttles.load([newer], NOW)
    throttles.load([older], NOW)
    assert waits(throttles).until == NOW + 2 * HOUR
    throttles.load([replace(newer, suspended_until=NOW + 3 * HOUR)], NOW)
    assert waits(throttles).until == NOW + 2 * HOUR, "the same version is no news"


def test_a_newer_version_from_elsewhere_is_not_stored_again(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    throttles.load([throttle(suspended_until=NOW + 2 * HOUR, changed_at=NOW + 1)], NOW)
    assert throttles.dirty() == []


def test_a_restart_restores_what_stands_and_it_goes_on_from_there(throttles):
    throttles.heard(answer(rule(slow_to(TEN, 1, seconds=1800))), NOW)
    reborn = Throttles(book)
    reborn.load(throttles.dirty(), NOW + 20 * MINUTE)
    assert reborn.rate("out1", GOOGLE) == TEN
    assert reborn.connections("out1", GOOGLE) == 1
    assert reborn.step(NOW + 30 * MINUTE - 1) == []
    (change,) = reborn.step(NOW + 30 * MINUTE)
    assert change.words == "back to 20/min, 2 connections"


def test_a_suspension_that_ran_out_while_the_box_was_down_ends_at_once(throttles):
    throttles.heard(answer(SUSPEND), NOW)
    reborn = Throttles(book)
    reborn.load(throttles.dirty(), NOW + 5 * HOUR)
    assert waits(reborn, now=NOW + 5 * HOUR) is None
    (change,) = reborn.step(NOW + 5 * HOUR)
    assert change.kind is ChangeKind.RESUMED


def test_what_ended_long_ago_is_not_loaded(throttles):
    throttles.load([throttle(changed_at=NOW - KEPT)], NOW)
    assert throttles.explain({"out1"}, GOOGLE, NOW) == []
