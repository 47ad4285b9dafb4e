"""Login failures are counted by the minute over ten minutes."""

from __future__ import annotations

from appliance.core import clock
from appliance.limits.rules import failure_window, oldest_failure_window


def test_a_moment_falls_into_its_minute():
    assert failure_window(3 * clock.MINUTE + 59_999) == 3 * clock.MINUTE


def test_ten_minutes_count_the_running_one_included():
    now = 100 * clock.MINUTE + 5
    windows = range(oldest_failure_window(now), failure_window(now) + 1, clock.MINUTE)
    assert len(windows) == 10
