from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.shaping.model import Rate
from mta.shaping.quantity import rate_of, seconds_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30 s", 30),
        ("30s", 30),
        ("90 min", 5400),
        ("2 h", 7200),
        ("1.5 h", 5400),
        ("1 d", 86_400),
        (300, 300),
        (0.5, 0.5),
    ],
)
def test_times(written: object, seconds: float) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "90", "90 m", "90 minutes", "-1 s", "1 h 30 min", "0 s", 0, -1, "31 d", True, None, [1], float("nan"), "٣ s"]
)  # fmt: skip
def test_what_is_no_time_is_refused_in_words(written: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        seconds_of(written)


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("100/s", Rate(100, 1)),
        ("10/min", Rate(10, 60)),
        ("10 / min", Rate(10, 60)),
        ("5/h", Rate(5, 3600)),
        ("1000/d", Rate(1000, 86_400)),
        ("3/90 s", Rate(3, 90)),
        ("none", None),
    ],
)
def test_rates(written: str, rate: Rate | None) -> None:
    assert rate_of(written) == rate


@pytest.mark.parametrize("written", ["", "10", 10, "10/minute", "/min", "-1/s", "1.5/s", None])
def test_what_is_no_rate_is_refused_in_words(written: object) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        rate_of(written)


@pytest.mark.parametrize("written", ["0/min", "5/0 s"])
def test_a_rate_lets_something_through(written: str) -> None:
    with pytest.raises(ValueError, match="let nothing through"):
        rate_of(written)


@given(st.integers(1, 10**6), st.integers(1, 999_999))
def test_a_rate_is_read_back_as_it_is_shown(count: int, seconds: int) -> None:
    assert rate_of(str(Rate(count, seconds))) == Rate(count, seconds)
