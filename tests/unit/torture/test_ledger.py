"""The torture's ledger, with made-up facts: each kind of fault is found, and what is excused is only that."""

from __future__ import annotations

import pytest

from tests.acceptance.torture.ledger import LATE_TAKEN, End, Ledger, Take

TO, BAD = "u1-0@good.test", "u1-0@refuse.test"


def ledger_of(
    to: str = TO, *, answer: str = "250 2.0.0 queued as abc", is_whole: bool = True
) -> Ledger:
    ledger = Ledger({"refuse.test": {"bounced"}}, outstanding=2)
    letter = ledger.letter(1, (to,))
    letter.is_whole = is_whole
    if answer:
        ledger.answered(letter, answer, 5.0)
    return ledger


def judged(ledger: Ledger, status: str = "delivered", to: str = TO, events: tuple[str, ...] = ()):
    return ledger.judge({(1, to): End("abc", 0, status, events or (status,))})


def taken(ledger: Ledger, *times: float, to: str = TO, answered: bool = True) -> Ledger:
    for at in times:
        ledger.take(1, to, Take(at, answered))
    return ledger


def test_a_letter_that_arrived_once_is_no_fault():
    verdict = judged(taken(ledger_of(), 6.0))
    assert verdict.faults == {}
    assert verdict.counts["acknowledged"] == verdict.counts["delivered"] == 1


@pytest.mark.parametrize("status", ["delivered", "bounced", "expired", "cancelled", "suppressed"])
def test_an_acknowledged_letter_that_nobody_has_is_lost(status):
    assert set(judged(ledger_of(), status).faults) == {"lost"}


def test_an_acknowledged_letter_that_the_log_does_not_know_is_lost_even_if_it_arrived():
    assert set(taken(ledger_of(), 6.0).judge({}).faults) == {"lost"}


def test_a_domain_that_refuses_may_end_so():
    ledger = ledger_of(BAD)
    assert judged(ledger, "bounced", BAD).faults == {}
    assert set(judged(ledger, "expired", BAD).faults) == {"lost"}


def test_who_was_refused_for_good_may_end_so_and_nobody_beside():
    ledger = ledger_of()
    ledger.refused.add((1, TO))
    assert judged(ledger, "bounced").faults == {}
    assert set(judged(ledger, "expired").faults) == {"lost"}
    ledger.refused = {(2, TO), (1, "u1-1@good.test")}
    assert set(judged(ledger, "bounced").faults) == {"lost"}


def test_a_letter_without_an_answer_may_be_stored_or_not():
    assert ledger_of(answer="").judge({}).faults == {}
    assert judged(taken(ledger_of(answer=""), 6.0)).faults == {}


def test_a_double_that_nothing_excuses_is_found():
    assert set(judged(taken(ledger_of(), 6.0, 8.0)).faults) == {"doubled"}


def test_a_double_is_excused_when_the_owner_died_in_between():
    ledger = taken(ledger_of(), 6.0, 8.0)
    ledger.died("mta-0", 7.0, (0,))
    verdict = judged(ledger)
    assert verdict.faults == {}
    assert verdict.counts["doubled: outcome not durable"] == 1
    assert verdict.counts["most doubles of a death"] == 1


@pytest.mark.parametrize(("at", "shards"), [(3.0, (0,)), (11.0, (0,)), (7.0, (1,)), (7.0, ())])
def test_a_death_before_after_or_of_another_excuses_nothing(at, shards):
    ledger = taken(ledger_of(), 6.0, 8.0)
    ledger.died("another", at, shards)
    assert set(judged(ledger).faults) == {"doubled"}


def test_a_double_is_excused_when_the_receiver_took_late_what_a_dead_owner_had_sent():
    ledger = taken(ledger_of(), 6.0, 8.0)
    ledger.died("mta-0", 6.0 - LATE_TAKEN + 0.1, (0,))
    assert judged(ledger).faults == {}
    ledger = taken(ledger_of(), 6.0, 8.0)
    ledger.died("mta-0", 6.0 - LATE_TAKEN - 0.1, (0,))
    assert set(judged(ledger).faults) == {"doubled"}


def test_a_double_is_excused_when_the_receiver_never_answered():
    ledger = taken(taken(ledger_of(), 6.0, answered=False), 8.0)
    verdict = judged(ledger)
    assert verdict.faults == {}
    assert verdict.counts["doubled: no answer was given"] == 1


def test_more_doubles_by_one_death_than_a_batch_are_a_fault():
    ledger = Ledger({}, outstanding=2)
    ledger.died("mta-0", 7.0, (0,))
    ends = {}
    for number in range(1, 4):
        letter = ledger.letter(number, (f"u{number}@good.test",))
        letter.is_whole = True
        ledger.answered(letter, f"250 2.0.0 queued as id{number}", 5.0)
        for at in (6.0, 8.0):
            ledger.take(number, letter.recipients[0], Take(at, answered=True))
        ends[number, letter.recipients[0]] = End(f"id{number}", 0, "delivered", ("delivered",))
    verdict = ledger.judge(ends)
    assert set(verdict.faults) == {"doubled"}
    assert verdict.counts["most doubles of a death"] == 3


def test_what_was_not_sent_whole_or_was_refused_for_good_may_not_arrive():
    assert set(judged(taken(ledger_of(answer="", is_whole=False), 6.0)).faults) == {"early"}
    assert set(judged(taken(ledger_of(answer="554 5.6.0 no"), 6.0)).faults) == {"early"}


def test_what_was_refused_for_now_may_arrive_only_when_its_owner_died_over_it():
    assert set(judged(taken(ledger_of(answer="451 4.3.0 later"), 6.0)).faults) == {"early"}
    ledger = taken(ledger_of(answer="451 4.3.0 later"), 6.0)
    ledger.died("mta-0", 5.5, (0,))
    verdict = judged(ledger)
    assert verdict.faults == {}
    assert verdict.counts["refused for now, yet stored"] == 1


def test_other_octets_or_an_unknown_recipient_are_damage():
    ledger = ledger_of()
    ledger.take(1, TO, Take(6.0, answered=True, is_intact=False))
    assert set(judged(ledger).faults) == {"damaged"}
    assert "damaged" in judged(taken(taken(ledger_of(), 6.0), 6.0, to="x@good.test")).faults


@pytest.mark.parametrize(
    ("status", "events"),
    [
        ("queued", ("deferred",)),
        ("deferred", ("deferred",)),
        ("delivered", ("delivered", "delivered")),
        ("delivered", ("bounced", "delivered")),
        ("delivered", ("deferred",)),
    ],
)
def test_every_recipient_ends_once(status, events):
    assert "unfinished" in judged(taken(ledger_of(), 6.0), status, events=events).faults


def test_the_log_and_the_receivers_must_agree():
    unanswered = taken(ledger_of(), 6.0, answered=False)
    assert set(judged(unanswered).faults) == {"untrue"}
    refused = taken(ledger_of(BAD), 6.0, to=BAD)
    assert set(judged(refused, "bounced", BAD).faults) == {"untrue"}
    other = taken(ledger_of(), 6.0).judge({(1, TO): End("other", 0, "delivered", ("delivered",))})
    assert set(other.faults) == {"untrue"}
    assert "untrue" in taken(ledger_of(answer=""), 6.0).judge({}).faults
