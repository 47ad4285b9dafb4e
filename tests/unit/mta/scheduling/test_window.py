"""The window: who is in memory, and who must not be taken in."""

from __future__ import annotations

import pytest

from mta.scheduling.parcel import Parcel
from mta.scheduling.window import Window
from tests.support.recipients import message, recipient


@pytest.fixture
def window():
    return Window(max_recipients=10, max_bytes=1000)


def test_who_left_while_a_page_was_read_is_not_taken_in_from_it(window):
    one, other = recipient(1), recipient(2)
    window.add(Parcel(message(1), [one], None))
    with window.reading():
        window.drop([one])
        assert window.has(one)
        assert not window.has(other)
    assert not window.has(one)


def test_who_was_changed_by_a_person_while_a_page_was_read_is_not_taken_in_from_it(window):
    one = recipient(1)
    window.lock_out([one])
    assert window.has(one)
    with window.reading():
        window.unlock([one])
        assert window.has(one)
    assert not window.has(one)


def test_those_being_sent_are_counted(window):
    parcel = Parcel(message(1), [recipient(1, 0), recipient(1, 1)], None)
    window.add(parcel)
    assert window.being_sent == 0
    parcel.sending = True
    assert window.being_sent == 2
