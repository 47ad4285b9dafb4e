"""Why mail waits for a budget, in the words that people read, and until when."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from appliance.core.clock import DAY, HOUR, MINUTE, SECOND, from_datetime
from mta.status import TrafficClass
from mta.warmup.day import Calendar, charges
from mta.warmup.model import OTHER, WarmupPlan, WarmupState, warmup_provider
from mta.warmup.wait import Names, Standing, wait_for

MIDNIGHT = from_datetime(datetime(2027, 1, 15, tzinfo=UTC))
NOON = MIDNIGHT + 12 * HOUR
NAMES = Names(address=lambda name: "203.0.113.7", provider=lambda name: name.title())
BULK, TRANSACTIONAL = TrafficClass.BULK, TrafficClass.TRANSACTIONAL


def plan(**given) -> WarmupPlan:
    usual = {"egress": "a", "provider": "google", "state": WarmupState.WARMING}
    return WarmupPlan(**usual | {"stage": 0, "stages": 9, "limit": 200} | given)


def wait(used, traffic_class=TRANSACTIONAL, now=NOON, steady=None, zone=UTC, **given):
    found = plan(**given)
    clocks = (now, now if steady is None else steady)
    charged = charges(Calendar(zone), *clocks, is_hourly=found.is_hourly)
    by_window = used if isinstance(used, dict) else {charged[0].window.start: used}
    standing = Standing(plan=found, charges=charged, used=by_window, traffic_class=traffic_class)
    return wait_for(standing, NAMES, now, zone)


def test_a_budget_that_is_used_says_so_and_when_the_next_begins():
    found = wait(200)
    assert found.why == ("warmup: 203.0.113.7 has used 200 of 200 for Google today; next 00:00 UTC")
    assert found.until == MIDNIGHT + DAY


def test_times_are_told_in_the_configured_zone():
    found = wait(1234, limit=1200, zone=ZoneInfo("Europe/Berlin"))
    assert found.why.endswith("has used 1,234 of 1,200 for Google today; next 00:00 CET")
    assert found.until == MIDNIGHT + DAY - HOUR


def test_an_hourly_budget_names_the_hour():
    found = wait(20, limit=20, is_hourly=True)
    assert found.why.endswith("has used 20 of 20 for Google this hour; next 13:00 UTC")
    assert found.until == NOON + HOUR


def test_receivers_without_a_name_are_called_so():
    assert "for other receivers today" in wait(200, provider=OTHER).why


def test_bulk_mail_waits_for_its_share_of_the_day():
    found = wait(82, BULK)  # 0.8 * 200 * 12.25 / 24 = 81.7 are open, and none of the reserve
    assert found.why == (
        "warmup: 203.0.113.7 has used 82 of 200 for Google today,"
        " all that is open to bulk mail by now; next 12:12 UTC"
    )
    assert NOON < found.until <= NOON + 12 * MINUTE


def test_bulk_mail_asks_again_within_a_quarter_of_an_hour():
    found = wait(150, BULK)
    assert found.until == NOON + 15 * MINUTE
    assert "next 20:05" in found.why


def test_bulk_mail_does_not_ask_again_at_once():
    assert wait(816_666, BULK, limit=2_000_000).until == NOON + SECOND


def test_when_everything_is_used_bulk_mail_waits_like_the_rest():
    assert wait(200, BULK) == wait(200)


def test_a_pause_says_why():
    found = wait(0, state=WarmupState.PAUSED, why="too many blocks")
    assert found.why == "warmup: 203.0.113.7 is paused for Google: too many blocks"
    assert found.until == NOON + 15 * MINUTE


def test_what_is_only_promised_may_be_asked_again_soon():
    found = wait(180)
    assert found.until == NOON + SECOND
    assert found.why.endswith(
        "has used 180 of 200 for Google today; the rest is promised to mail before this one"
    )


def test_of_two_days_the_one_that_opens_last_is_told():
    """The clock was set forward by a day at noon: the real day goes on for twelve hours."""
    found = wait({MIDNIGHT: 200, MIDNIGHT + DAY: 5}, now=NOON + DAY, steady=NOON)
    assert found.until == NOON + DAY + 12 * HOUR
    assert "has used 200 of 200 for Google from 2027-01-15 00:00 UTC on" in found.why
    assert found.why.endswith("next 00:00 UTC")


def test_mail_counts_for_its_provider_or_for_the_others():
    assert warmup_provider("google", {"google", OTHER}) == "google"
    assert warmup_provider("comcast", {"google", OTHER}) == OTHER
    assert warmup_provider("", {"google", OTHER}) == OTHER
