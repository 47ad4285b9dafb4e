"""Mail over several addresses in the shares that their weights ask for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.scheduling.spread import Spread


def choices(**weights):
    return [(name, weight, name) for name, weight in weights.items()]


def turns(spread, count, **weights):
    return [spread.choose(choices(**weights)) for _ in range(count)]


def test_weights_are_shares_and_nobody_has_all_his_turns_in_a_row():
    found = turns(Spread(), 10, a=3, b=1, c=1)
    assert Counter(found) == {"a": 6, "b": 2, "c": 2}
    assert "aaa" not in "".join(found)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(1, 60))
def test_at_any_moment_everybody_has_had_its_share_within_one(weights, count):
    names = {f"e{n}": weight for n, weight in enumerate(weights)}
    found = Counter(turns(Spread(), count, **names))
    for name, weight in names.items():
        assert abs(found[name] - count * weight / sum(weights)) <= 1


def test_one_alone_gets_everything():
    assert turns(Spread(), 3, a=1) == ["a"] * 3


def test_who_was_away_takes_its_turns_again_and_does_not_catch_up_with_all_it_missed():
    spread = Spread()
    turns(spread, 100, a=1, b=1)
    turns(spread, 100, a=1)
    assert Counter(turns(spread, 10, a=1, b=1)) == {"a": 5, "b": 5}


@pytest.mark.parametrize("away", ["a", "b", "c"])
def test_those_who_are_left_share_among_themselves(away):
    spread = Spread()
    weights = {"a": 1, "b": 1, "c": 1}
    turns(spread, 4, **weights)
    del weights[away]
    found = Counter(turns(spread, 100, **weights))
    assert all(abs(count - 50) <= 1 for count in found.values())
