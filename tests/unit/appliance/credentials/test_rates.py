"""The usual rate of a credential, from what it sent in the hours of a fortnight."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY, HOUR, MINUTE
from appliance.credentials.rates import FLOOR, MIN_ACTIVE_HOURS, hour_of, is_news, usual_rate

START = 1_800_000_000_000 // DAY * DAY


def fortnight(peaks: list[int], usual: int = 200) -> dict[int, int]:
    """Days on which every hour is alike, but for the busiest one."""
    hours = {
        START + day * DAY + hour * HOUR: usual for day in range(len(peaks)) for hour in range(24)
    }
    return hours | {START + day * DAY + 8 * HOUR: peak for day, peak in enumerate(peaks)}


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        pytest.param([200] * 14, 200, id="always the same"),
        pytest.param([9000] * 14, 9000, id="a digest once a day is usual"),
        pytest.param([9000] * 4 + [200] * 10, 9000, id="so is a mailing twice a week"),
        pytest.param([9000] * 3 + [200] * 11, 200, id="three odd days teach nothing"),
        pytest.param([9000, 200], 200, id="nor does one of the first two"),
        pytest.param([9000] * 10 + [0] * 4, 9000, id="quiet week-ends do not matter"),
        pytest.param([700], 700, id="a single full day says a rate"),
    ],
)
def test_a_usual_hour_is_the_busiest_of_most_days(peaks, expected):
    assert usual_rate(fortnight(peaks)) == expected


def test_too_few_active_hours_say_nothing():
    enough = {START + n * HOUR: 900 for n in range(MIN_ACTIVE_HOURS)}
    assert usual_rate(enough) == 900
    del enough[START]
    assert usual_rate(enough) == 0
    assert usual_rate(enough | {START: 0}) == 0
    assert usual_rate({}) == 0


def test_a_small_sender_has_room():
    assert usual_rate(fortnight([3] * 14, usual=1)) == FLOOR


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (0, 100, True),
        (100, 110, False),
        (100, 111, True),
        (100, 90, False),
        (100, 89, True),
        (100, 0, False),  # nothing learned: what was known stays
        (0, 0, False),
    ],
)
def test_a_rate_is_told_when_it_has_moved_by_more_than_a_tenth(old, new, expected):
    assert is_news(old, new) is expected


def test_an_hour_begins_where_the_surge_hold_begins_it():
    assert hour_of(START + 59 * MINUTE) == START
    assert hour_of(START + HOUR) == START + HOUR
