"""A throttle as a row and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.shaping.rules import to_row, to_throttle
from mta.shaping.model import Rate
from mta.shaping.throttle import Change, ChangeKind, Fault, Subject, Throttle
from tests.support.throttling import throttle

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)
times = st.integers(0, 1 << 42)
subjects = st.builds(Subject, words, words, st.integers(0, 1 << 40), words)


@st.composite
def throttles(draw):
    subject = draw(subjects)
    changes = st.builds(Change, st.just(subject), times, st.sampled_from(ChangeKind), words)
    rate = st.builds(Rate, st.integers(1, 1 << 30), st.floats(0.001, 1e9))
    return Throttle(
        subject=subject,
        rate=draw(st.none() | rate),
        connections=draw(st.integers(0, 1000)),
        suspended_until=draw(times),
        fault=draw(st.builds(Fault, words, words, words, times)),
        heard_at=draw(times),
        quiet=draw(times),
        steps=draw(st.integers(0, 1000)),
        slowed_at=draw(times),
        raised_at=draw(times),
        changed_at=draw(times),
        history=tuple(draw(st.lists(changes, max_size=10))),
    )


@given(throttles())
def test_what_is_stored_is_what_comes_back(each):
    assert to_throttle(to_row(each)) == each


@pytest.mark.parametrize("history", ["", "{", "7", "[1]", json.dumps([[1, "no such kind", ""]])])
def test_a_row_whose_history_was_spoilt_is_refused(history):
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are Python's own
        to_throttle({**to_row(throttle()), "history": history})
