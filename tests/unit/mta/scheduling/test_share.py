"""What one of several processes may have of a limit that holds for all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mta.scheduling.share import TURN, Share

NOW = 1_800_000_000_000


@given(limit=st.integers(1, 50), count=st.integers(1, 9), at=st.integers(0, 20 * TURN))
def test_the_parts_of_all_processes_are_the_limit_at_any_moment(limit, count, at):
    parts = [Share(index, count).connections(limit, NOW + at) for index in range(count)]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1


@given(limit=st.integers(1, 8), count=st.integers(2, 9), index=st.integers(0, 8))
def test_each_process_gets_its_turn_at_a_scarce_limit(limit, count, index):
    share = Share(index % count, count)
    assert any(share.connections(limit, NOW + turn * TURN) for turn in range(count))


@given(at=st.integers(0, 5 * TURN))
def test_the_next_turn_is_when_the_parts_move_on(at):
    share = Share(0, 3)
    turn = share.next_turn(NOW + at)
    assert NOW + at < turn <= NOW + at + TURN
    before = [Share(i, 3).connections(1, turn - 1) for i in range(3)]
    after = [Share(i, 3).connections(1, turn) for i in range(3)]
    assert before != after


def test_a_rate_is_divided_by_the_number_of_processes():
    assert sum(Share(index, 4).of_rates for index in range(4)) == 1
