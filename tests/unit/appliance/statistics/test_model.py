"""Values of statistics: periods in whole steps, and times to delivery out of their classes."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY, HOUR, SECOND
from appliance.statistics.model import COLUMNS, DELAYS, Counts, Period, Step, counts_of

START = 1_800_000_000_000 // DAY * DAY


@pytest.mark.parametrize(
    ("since", "until", "step", "bounds"),
    [
        (START, START + DAY, Step.DAY, (START, START + DAY)),
        (START + 1, START + DAY + 1, Step.DAY, (START, START + 2 * DAY)),
        (START + HOUR - 1, START + HOUR, Step.HOUR, (START, START + HOUR)),
    ],
)
def test_a_period_has_whole_steps(since, until, step, bounds):
    period = Period(since=since, until=until, step=step)
    assert (period.start, period.end) == bounds


def delays(**classes):
    counted = [0] * (len(DELAYS) + 1)
    for number, count in classes.items():
        counted[int(number[1:])] = count
    return Counts(delivered=sum(counted), delays=tuple(counted))


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        (delays(), 0.5, 0),
        (delays(c0=10), 0.5, SECOND // 2),
        (delays(c0=10, c1=10), 0.5, SECOND),
        (delays(c0=10, c1=10), 0.75, SECOND + SECOND // 2),
        (delays(c0=95, c14=5), 0.95, SECOND),
        (delays(c15=3), 0.5, DAY),  # above the last class nothing more is known
    ],
)
def test_a_share_of_the_deliveries_was_done_within(counts, share, ms):
    assert counts.delay_at(share) == ms


def test_counts_are_read_in_the_order_of_the_columns():
    counts = counts_of(tuple(range(1, len(COLUMNS) + 1)))
    assert (counts.accepted, counts.unsubscribed, counts.delay_ms) == (1, 13, 14)
    assert counts.delays == tuple(range(15, 31))


def test_the_mean_of_no_deliveries_is_nothing():
    assert Counts().mean_delay == 0
    assert Counts(delivered=4, delay_ms=10).mean_delay == 2
