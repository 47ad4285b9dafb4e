"""States and their legal moves."""

from __future__ import annotations

import itertools

import pytest

from mta.status import FINAL, MOVES, EventKind, Status, may_move

WAITING = {
    "delivered",
    "deferred",
    "bounced",
    "expired",
    "suppressed",
    "held",
    "cancelled",
    "corrupt",
}
LEGAL = {
    "queued": WAITING,
    "deferred": WAITING,
    "held": {"queued", "cancelled", "expired", "corrupt"},
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_a_move_is_legal_if_the_table_has_it(old, new):
    assert may_move(old, new) == (new in LEGAL.get(old, ()))


def test_every_recipient_ends_in_one_of_six_states():
    assert {str(s) for s in FINAL} == {
        "delivered",
        "bounced",
        "expired",
        "suppressed",
        "cancelled",
        "corrupt",
    }
    assert all(status.is_final == (status in FINAL) for status in Status)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_leaves_a_final_state(status):
    assert not any(may_move(status, new) for new in Status)


def test_sending_is_never_written():
    assert Status.SENDING not in MOVES
    assert not any(Status.SENDING in targets for targets in MOVES.values())


def test_a_final_state_can_be_reached_from_everywhere_else():
    for status in set(Status) - FINAL - {Status.SENDING}:
        assert MOVES[status] & FINAL


@pytest.mark.parametrize("status", Status)
def test_the_scheduler_picks_up_what_is_queued_or_deferred(status):
    assert status.is_waiting == (status in {Status.QUEUED, Status.DEFERRED})


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.QUEUED, Status.SENDING}))
def test_every_durable_state_but_the_first_has_an_event_of_its_name(status):
    assert EventKind(status)
