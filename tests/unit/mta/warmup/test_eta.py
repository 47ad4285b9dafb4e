"""When the last of a backlog leaves, by the plan."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from appliance.core.clock import DAY, HOUR, from_datetime
from mta.warmup.eta import HORIZON, Eta, Source, eta

MIDNIGHT = from_datetime(datetime(2027, 1, 15, tzinfo=UTC))
NOON = MIDNIGHT + 12 * HOUR
STEPS = (100, 200, 400)


def after(backlog: int, *sources: Source, now: int = MIDNIGHT) -> Eta:
    return eta(backlog, sources, now, UTC)


def test_what_fits_into_today_leaves_today():
    assert after(50, Source(volumes=STEPS)) == Eta(
        at_best=MIDNIGHT + DAY // 2, if_held=MIDNIGHT + DAY // 2
    )
    assert after(0, Source(volumes=STEPS)).at_best == MIDNIGHT


def test_stages_advance_at_best_and_stand_if_held():
    found = after(500, Source(volumes=STEPS))
    assert found.at_best == MIDNIGHT + 2 * DAY + DAY // 2  # 100 + 200, then half of 400
    assert found.if_held == MIDNIGHT + 5 * DAY


def test_below_the_first_stage_less_leaves():
    found = after(150, Source(volumes=STEPS, stage=-1))
    assert found.if_held == MIDNIGHT + 3 * DAY  # 50 a day
    assert found.at_best == MIDNIGHT + 2 * DAY  # 50, then 100


def test_behind_the_last_stage_the_rest_leaves_at_once():
    found = after(1_000_000, Source(volumes=STEPS, stage=1))
    assert found.at_best == MIDNIGHT + 2 * DAY
    assert found.if_held is None


def test_what_is_used_today_is_gone_and_only_the_rest_of_the_day_is_left():
    found = after(60, Source(volumes=STEPS, used=40), now=NOON)
    assert found.if_held == MIDNIGHT + DAY
    assert after(30, Source(volumes=STEPS, used=40), now=NOON).if_held == NOON + 6 * HOUR


def test_addresses_share_a_backlog_and_a_warm_one_takes_all():
    two = (Source(volumes=STEPS), Source(volumes=(300,)))
    assert after(400, *two).if_held == MIDNIGHT + DAY
    assert after(400, *two, Source(volumes=())).if_held == MIDNIGHT


def test_a_pause_is_waited_for_and_one_without_end_gives_nothing():
    paused = Source(volumes=STEPS, paused_until=MIDNIGHT + 2 * DAY)
    assert after(100, paused).if_held == MIDNIGHT + 3 * DAY
    assert after(100, Source(volumes=STEPS, is_stopped=True)) == Eta(at_best=None, if_held=None)


def test_an_hourly_plan_has_its_volume_every_hour():
    hourly = Source(volumes=(10, 20), is_hourly=True, used=4)
    assert after(116, hourly, now=NOON).if_held == MIDNIGHT + DAY
    assert after(117, hourly, now=NOON).if_held > MIDNIGHT + DAY


@pytest.mark.parametrize("days", [1, 30, HORIZON])
def test_nothing_further_ahead_than_the_horizon_is_told(days):
    assert after(100 * days, Source(volumes=STEPS)).if_held == MIDNIGHT + days * DAY
    assert after(100 * HORIZON + 1, Source(volumes=STEPS)).if_held is None
