from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.moment import duration, moment

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("90s", NOW - 90_000),
        ("30min", NOW - 30 * clock.MINUTE),
        ("30m", NOW - 30 * clock.MINUTE),
        (" 2h ago ", NOW - 2 * clock.HOUR),
        ("3d", NOW - 3 * clock.DAY),
        ("1w", NOW - 7 * clock.DAY),
        ("2027-01-15", NOW - 8 * clock.HOUR),
        ("2027-01-15T08:00", NOW),
        ("2027-01-15T09:00:00+01:00", NOW),
        ("2027-01-15T08:00:00Z", NOW),
        ("999999w", 1),
    ],
)
def test_times_as_people_type_them(text, at):
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "2h3", "2027-13-01", "-2h", "1y", "0x1"])
def test_what_is_no_time_is_refused_in_words(text):
    with pytest.raises(UsageError, match="is no time: write 2026-11-20"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("", 0), ("90s", 90_000), (" 30 min ", 30 * clock.MINUTE), ("2h", 2 * clock.HOUR)],
)
def test_durations_as_people_type_them(text, ms):
    assert duration(text) == ms


@pytest.mark.parametrize("text", ["2", "0h", "2h ago", "-2h", "forever", "1y"])
def test_what_is_no_duration_is_refused_in_words(text):
    with pytest.raises(UsageError, match="is no duration: write 90s"):
        duration(text)
