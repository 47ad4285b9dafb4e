"""How often a rule heard its answer, and whom to look at next."""

from __future__ import annotations

from mta.shaping.agenda import NEVER, Agenda
from mta.shaping.hits import Hits
from mta.shaping.throttle import Subject
from tests.support.throttling import HOUR, MINUTE, NOW, rule, slow_to

ONE, OTHER = Subject("out1", "google"), Subject("out2", "google")


def heard(hits: Hits, times: int, *moments: int, subject: Subject = ONE) -> list[bool]:
    asked = rule(slow_to(), times=times)
    return [hits.enough(asked, subject, NOW + at) for at in moments]


def test_a_rule_that_wants_one_answer_needs_no_memory():
    hits = Hits(10)
    assert heard(hits, 1, 0, 1) == [True, True]
    assert len(hits) == 0


def test_a_rule_fires_when_enough_answers_lie_within_its_time():
    assert heard(Hits(10), 3, 0, 10 * MINUTE, HOUR, HOUR + 1) == [False, False, True, True]
    assert heard(Hits(10), 2, 0, HOUR + 1, 2 * HOUR + 2) == [False, False, False]


def test_each_subject_and_rule_counts_for_itself():
    hits = Hits(10)
    assert heard(hits, 2, 0) == [False]
    assert heard(hits, 2, 1, subject=OTHER) == [False]
    other_rule = rule(slow_to(), name="other", times=2)
    assert not hits.enough(other_rule, ONE, NOW + 2)
    assert heard(hits, 2, 3) == [True]


def test_only_as_many_moments_are_kept_as_the_rule_wants():
    hits = Hits(10)
    heard(hits, 5, *range(1000))
    assert len(hits._by_subject[ONE]["google-unusual-rate"]) == 5


def test_a_changed_rule_takes_over_what_was_heard():
    hits = Hits(10)
    assert heard(hits, 5, 0, 1, 2) == [False] * 3
    assert heard(hits, 3, 3) == [True]


def test_subjects_are_bounded_and_those_heard_last_stay():
    hits = Hits(2)
    first, second, third = (Subject(f"out{n}", "google") for n in range(3))
    heard(hits, 2, 0, subject=first)
    heard(hits, 2, 1, subject=second)
    heard(hits, 3, 2, subject=first)
    heard(hits, 2, 3, subject=third)
    assert len(hits) == 2
    assert heard(hits, 2, 4, subject=first) == [True], "heard later than the second"
    assert heard(hits, 2, 5, subject=second) == [False]


def test_what_a_person_lifted_is_counted_anew():
    hits = Hits(10)
    heard(hits, 2, 0)
    hits.forget(ONE)
    assert heard(hits, 2, 1) == [False]


def test_the_agenda_gives_whoever_is_due_once():
    agenda = Agenda()
    agenda.note(ONE, 20)
    agenda.note(OTHER, 10)
    assert agenda.next_at == 10
    assert list(agenda.due(9)) == []
    assert list(agenda.due(20)) == [OTHER, ONE]
    assert agenda.next_at == NEVER


def test_what_is_put_off_again_and_again_takes_one_entry():
    agenda = Agenda()
    for at in range(10, 1000):
        agenda.note(ONE, at)
    assert len(agenda._heap) == 1
    assert list(agenda.due(10)) == [ONE], "too early: whoever looks notes the right moment"
    agenda.note(ONE, 999)
    assert list(agenda.due(998)) == []


def test_an_earlier_moment_counts_and_the_later_one_is_void():
    agenda = Agenda()
    agenda.note(ONE, 100)
    agenda.note(ONE, 50)
    assert list(agenda.due(50)) == [ONE]
    assert list(agenda.due(100)) == []
