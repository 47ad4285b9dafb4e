"""How often somebody may ask: never more than the burst and the rate allow, in any span of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from admin_ui.api.guard import READS, SENDS, WRITES
from admin_ui.api.rates import Rate, Rates
from appliance.core.settings import Api
from appliance.run.web import rates_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_burst_is_there_at_once_and_then_the_rate():
    clock = Clock()
    rates = Rates(clock)
    rate = Rate(2, 5)
    assert [rates.take("a", "x", rate).is_allowed for _ in range(6)] == [True] * 5 + [False]
    clock.now += 0.5
    assert rates.take("a", "x", rate).is_allowed
    assert not rates.take("a", "x", rate).is_allowed


def test_what_is_told_is_true():
    clock = Clock()
    rates = Rates(clock)
    rate = Rate(1, 3)
    left = [rates.take("a", "x", rate).remaining for _ in range(3)]
    assert left == [2, 1, 0]
    refused = rates.take("a", "x", rate)
    assert (refused.is_allowed, refused.limit, refused.remaining) == (False, 3, 0)
    clock.now += refused.reset
    assert rates.take("a", "x", rate).is_allowed


def test_one_does_not_use_up_what_is_anothers():
    rates = Rates(Clock())
    rate = Rate(1, 1)
    assert rates.take("a", "x", rate).is_allowed
    assert rates.take("b", "x", rate).is_allowed
    assert rates.take("a", "y", rate).is_allowed
    assert not rates.take("a", "x", rate).is_allowed


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 8))
def test_no_span_sees_more_than_burst_and_rate(pauses, per_second, burst):
    clock = Clock()
    rates = Rates(clock)
    allowed = []
    for pause in pauses:
        clock.now += pause
        if rates.take("a", "x", Rate(per_second, burst)).is_allowed:
            allowed.append(clock.now)
    for i, first in enumerate(allowed):
        for n, last in enumerate(allowed[i:], 1):
            assert n <= burst + per_second * (last - first) + 1e-6


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("admin_ui.api.rates._MOST", 10)
    rates = Rates(Clock())
    for n in range(100):
        rates.take(str(n), "x", Rate(1, 1))
    assert not rates.take("99", "x", Rate(1, 1)).is_allowed
    assert rates.take("0", "x", Rate(1, 1)).is_allowed


def test_a_rate_with_a_name_is_what_the_configuration_says_and_others_are_what_they_are():
    rates = Rates(Clock(), configured=[Rate(1, 2, "reads")])
    asked = [rates.take("a", "x", Rate(50, 200, "reads")) for _ in range(3)]
    assert [one.is_allowed for one in asked] == [True, True, False]
    assert asked[0].limit == 2
    for free in (Rate(50, 200), Rate(50, 200, "writes")):
        assert all(rates.take(free.name, "x", free).is_allowed for _ in range(200))


def test_what_is_configured_is_what_was_so_far():
    rates = rates_of(Api())
    for one, per_second, burst in ((READS, 50, 200), (WRITES, 10, 60), (SENDS, 2000, 4000)):
        assert rates.of(one) == one == Rate(per_second, burst, one.name)
    assert rates_of(Api(sends_per_second=5, sends_burst=9)).of(SENDS) == Rate(5, 9, "sends")
