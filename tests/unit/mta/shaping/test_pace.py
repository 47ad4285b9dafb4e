"""When the next may go at a rate."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from mta.shaping.model import Rate
from mta.shaping.pace import Pace

NOW = 1_800_000_000_000
rates = st.builds(Rate, st.integers(1, 500), st.sampled_from([1.0, 60.0, 90.0, 3600.0]))


def sent_greedily(pace: Pace, start: int, until: int) -> list[int]:
    """Whoever always has work sends at every moment that the pace allows."""
    moments, now = [], start
    while (now := pace.ready_at(now)) <= until:
        pace.take(now)
        moments.append(now)
    return moments


def test_without_a_rate_nobody_waits():
    pace = Pace()
    for _ in range(10_000):
        assert pace.ready_at(NOW) == NOW
        pace.take(NOW)


def test_a_second_s_worth_goes_at_once_then_evenly():
    moments = sent_greedily(Pace(Rate(100, 1.0)), NOW, NOW + 1000)
    assert moments[:100] == [NOW] * 100
    assert moments[100:103] == [NOW + 10, NOW + 20, NOW + 30]
    assert len(moments) == 200


def test_what_is_slower_than_one_a_second_is_strictly_spaced():
    moments = sent_greedily(Pace(Rate(1, 60.0)), NOW, NOW + 180_000)
    assert moments == [NOW, NOW + 60_000, NOW + 120_000, NOW + 180_000]


def test_an_idle_hour_saves_no_more_than_a_second_s_worth():
    pace = Pace(Rate(10, 1.0))
    assert len(sent_greedily(pace, NOW, NOW)) == 10
    assert len(sent_greedily(pace, NOW + 3_600_000, NOW + 3_600_000)) == 10


@given(rate=rates, share=st.sampled_from([1.0, 0.5, 0.25]), length=st.integers(0, 20_000))
def test_no_time_span_sees_more_than_a_second_s_worth_and_the_rate(rate, share, length):
    """To the millisecond, which is as fine as the clock is."""
    moments = sent_greedily(Pace(rate, share), NOW, NOW + 30_000)
    most = max(1.0, rate.per_second * share) + rate.per_second * share * (length + 1) / 1000
    for n, first in enumerate(moments):
        assert bisect_right(moments, first + length) - n <= most


@given(rate=rates)
def test_whoever_always_has_work_gets_the_whole_rate(rate):
    span = 1000 * max(30, round(10 / rate.per_second))
    assert len(sent_greedily(Pace(rate), NOW, NOW + span)) >= rate.per_second * span / 1000


@given(rate=rates, processes=st.integers(2, 5))
def test_processes_with_equal_shares_keep_the_rate_together(rate, processes):
    span = 1000 * max(10, round(10 / rate.per_second))
    sent = sum(
        len(sent_greedily(Pace(rate, 1 / processes), NOW, NOW + span)) for _ in range(processes)
    )
    assert sent <= processes * max(1, rate.per_second / processes) + rate.per_second * span / 1000


def test_a_slower_rate_holds_from_the_next_message_on():
    pace = Pace(Rate(100, 1.0))
    sent_greedily(pace, NOW, NOW)  # a hundred at once
    pace.set_rate(Rate(1, 60.0), NOW)
    assert pace.ready_at(NOW) == NOW + 60_000, "not a hundred minutes"
    assert sent_greedily(pace, NOW, NOW + 120_000) == [NOW + 60_000, NOW + 120_000]


def test_a_faster_rate_does_not_keep_anybody_waiting_for_the_old_one():
    pace = Pace(Rate(1, 3600.0))
    pace.take(NOW)
    assert pace.ready_at(NOW) == NOW + 3_600_000
    pace.set_rate(Rate(1, 60.0), NOW)
    assert pace.ready_at(NOW) == NOW + 60_000
    pace.set_rate(None, NOW)
    assert pace.ready_at(NOW) == NOW


def test_the_same_rate_again_changes_nothing():
    pace = Pace(Rate(1, 60.0))
    pace.take(NOW)
    pace.set_rate(Rate(1, 60.0), NOW + 20_000)
    assert pace.ready_at(NOW + 20_000) == NOW + 60_000


def test_a_clock_set_back_by_a_day_costs_one_interval():
    pace = Pace(Rate(10, 60.0))
    pace.take(NOW)
    yesterday = NOW - 86_400_000
    assert pace.ready_at(yesterday) == yesterday + 6000
    assert pace.ready_at(yesterday + 6000) == yesterday + 6000
