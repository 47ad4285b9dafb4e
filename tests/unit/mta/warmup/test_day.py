"""Days and hours of a zone, which of them a send is charged to, and how a day opens."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import clock
from appliance.core.errors import ConfigError
from mta.warmup.day import (
    GUARD,
    LEAD,
    SAME,
    Calendar,
    Charge,
    charges,
    day_of,
    days_between,
    next_day,
    open_for_bulk,
    opens_at,
    window_of_day,
    zone_of,
)
from mta.warmup.model import Window

BERLIN = ZoneInfo("Europe/Berlin")
NOON = clock.from_datetime(datetime(2027, 1, 15, 12, tzinfo=UTC))
DAY, HOUR = clock.DAY, clock.HOUR
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
MOMENTS = st.integers(clock.from_datetime(datetime(2026, 1, 1, tzinfo=UTC)), NOON + 3650 * DAY)
SHARES = st.floats(0, 0.9)


def at(text: str, zone=UTC) -> int:
    return clock.from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))


def charge(window: Window, moment: int) -> Charge:
    return Charge(window, moment)


# -- windows -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "hours"), [("2027-01-15", 24), ("2027-03-28", 23), ("2027-10-31", 25)]
)
def test_a_day_of_berlin_has_its_own_length_when_clocks_change(day, hours):
    window = window_of_day(day, BERLIN)
    assert window.end - window.start == hours * HOUR
    assert day_of(window.start, BERLIN) == day_of(window.end - 1, BERLIN) == day
    assert day_of(window.end, BERLIN) == next_day(day)


def test_a_midnight_that_is_skipped_is_the_moment_that_comes_instead():
    cairo = ZoneInfo("Africa/Cairo")  # 24 April 2026: clocks go from 24:00 to 01:00
    window = window_of_day("2026-04-24", cairo)
    assert window.end - window.start == 23 * HOUR
    assert window.start == window_of_day("2026-04-23", cairo).end


@given(MOMENTS, st.sampled_from(ZONES), st.booleans())
def test_every_moment_lies_in_its_window_and_windows_meet(moment, name, is_hourly):
    calendar = Calendar(zone_of(name))
    window = calendar.window(moment, is_hourly=is_hourly)
    assert window.start <= moment < window.end
    assert calendar.window(window.end, is_hourly=is_hourly).start == window.end
    assert calendar.window(window.start - 1, is_hourly=is_hourly).end == window.start


def test_days_are_counted():
    assert next_day("2027-02-28") == "2027-03-01"
    assert next_day("2027-03-01", -1) == "2027-02-28"
    assert days_between("2026-12-31", "2027-01-02") == 2


def test_a_zone_that_nobody_knows_is_refused_with_its_option():
    with pytest.raises(ConfigError, match=r"warmup\.timezone"):
        zone_of("Mars/Olympus")


# -- charges -------------------------------------------------------------------


def starts(wall: int, steady: int | None = None, *, is_hourly: bool = False) -> list[int]:
    clocks = (wall, wall if steady is None else steady)
    found = charges(Calendar(UTC), *clocks, is_hourly=is_hourly)
    return [one.window.start for one in found]


def test_by_day_a_send_is_charged_to_today_alone():
    assert starts(NOON) == [at("2027-01-15")]


def test_shortly_before_midnight_it_is_charged_to_tomorrow_too():
    midnight = at("2027-01-16")
    assert starts(midnight - GUARD) == [at("2027-01-15"), midnight]
    assert starts(midnight - GUARD - 1) == [at("2027-01-15")]
    assert starts(midnight) == [midnight]


def test_shortly_before_the_hour_it_is_charged_to_the_next_hour_too():
    assert starts(NOON - 1, is_hourly=True) == [NOON - HOUR, NOON]
    assert starts(NOON, is_hourly=True) == [NOON]


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_clock_that_was_stepped_charges_both_days(step):
    assert starts(NOON + step, NOON) == sorted({at("2027-01-15"), at("2027-01-15") + step})


def test_of_two_clocks_in_one_day_the_one_behind_says_what_is_open():
    found = charges(Calendar(UTC), NOON + HOUR, NOON - HOUR, is_hourly=False)
    assert [one.at for one in found] == [NOON - HOUR]


@given(MOMENTS, st.integers(-3 * DAY, 3 * DAY), st.sampled_from(ZONES), st.booleans())
def test_both_clocks_now_and_after_the_guard_are_always_charged(wall, step, name, is_hourly):
    calendar, steady = Calendar(zone_of(name)), wall + (0 if abs(step) < SAME else step)
    found = [one.window for one in charges(calendar, wall, steady, is_hourly=is_hourly)]
    for moment in (wall, wall + GUARD, steady, steady + GUARD):
        assert calendar.window(moment, is_hourly=is_hourly) in found
    assert found == sorted(set(found), key=lambda one: one.start)


# -- how a window opens ----------------------------------------------------------

TODAY = Window(NOON - DAY // 2, NOON + DAY // 2)
THIS_HOUR = Window(NOON, NOON + HOUR)


@pytest.mark.parametrize(
    ("hour", "open_by_then"),
    [(0, 1), (5, 35), (11, 75), (17.75, 120), (20, 150), (23, 190), (23.75, 200), (24, 200)],
)
def test_bulk_mail_opens_over_the_day_and_takes_the_reserve_last(hour, open_by_then):
    assert open_for_bulk(200, charge(TODAY, TODAY.start + int(hour * HOUR)), 0.2) == open_by_then


@pytest.mark.parametrize(("minute", "open_by_then"), [(0, 16), (45, 16), (52.5, 18), (59, 19)])
def test_within_an_hour_only_the_reserve_opens_late(minute, open_by_then):
    moment = THIS_HOUR.start + int(minute * clock.MINUTE)
    assert open_for_bulk(20, charge(THIS_HOUR, moment), 0.2) == open_by_then


def test_a_day_does_not_begin_with_a_burst():
    assert open_for_bulk(100_000, charge(TODAY, TODAY.start), 0.2) < 1_000


def test_of_a_window_to_come_only_the_beginning_is_open():
    tomorrow = Window(TODAY.end, TODAY.end + DAY)
    assert open_for_bulk(200, charge(tomorrow, TODAY.end - 1), 0.2) == 1


@given(st.integers(1, 10**9), SHARES, st.integers(0, DAY), st.integers(0, DAY))
def test_what_is_open_never_shrinks_and_never_passes_the_limit(limit, reserve, one, other):
    earlier, later = (TODAY.start + ms for ms in sorted((one, other)))
    before = open_for_bulk(limit, charge(TODAY, earlier), reserve)
    after = open_for_bulk(limit, charge(TODAY, later), reserve)
    assert 1 <= before <= after <= limit


@given(st.integers(1, 10**9), SHARES)
def test_a_sender_of_bulk_mail_alone_can_use_all_of_a_day(limit, reserve):
    assert open_for_bulk(limit, charge(TODAY, TODAY.end - LEAD), reserve) == limit


@given(st.integers(10, 10**9), SHARES, st.integers(0, int(17.9 * HOUR) - HOUR))
def test_until_late_in_the_day_the_reserve_stays_closed_to_bulk_mail(limit, reserve, ms):
    opened = open_for_bulk(limit, charge(TODAY, TODAY.start + ms), reserve)
    assert opened <= max(1, limit * (1 - reserve))


@given(
    st.integers(1, 10**6),
    SHARES,
    st.integers(0, DAY - 1),
    st.integers(0, 10**6),
    st.sampled_from([TODAY, THIS_HOUR]),
)
def test_mail_is_told_the_first_moment_at_which_one_more_may_go(limit, reserve, ms, used, window):
    moment = window.start + ms % (window.end - window.start)
    opens = opens_at(limit, charge(window, moment), reserve, used)
    assert moment <= opens <= window.end
    if opens < window.end:
        assert open_for_bulk(limit, charge(window, opens), reserve) > used
    if opens > moment:
        assert open_for_bulk(limit, charge(window, opens - 1), reserve) <= used
