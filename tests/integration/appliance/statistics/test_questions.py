"""Questions to the statistics: who sees what, and what is refused in words."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY, HOUR, SECOND
from appliance.core.errors import UsageError
from appliance.core.scope import Scope
from appliance.statistics import Counter, Dimension, Measure, Of, Period, Step, opened
from tests.support.control import START
from tests.support.statistics import ship

BOX = Scope.system()
ONE, TWO = Scope.tenant(1), Scope.tenant(2)
DAYS = Period(since=START - DAY, until=START + 2 * DAY)


@pytest.fixture
async def statistics(writer, reader, outbox, now, store, statistics_location):
    for tenant, provider in ((1, "google"), (1, "google"), (1, "yahoo"), (2, "google")):
        message_id = outbox.accept("a@b.example", tenant=tenant, tags=[f"of-{tenant}"])
        now.move(5 * SECOND)
        outbox.tried(message_id, 0, "delivered", "a@b.example", tenant=tenant, provider=provider)
    ship(writer, outbox)
    Counter(store, reader).step()
    async with opened(statistics_location) as found:
        yield found


async def test_a_tenant_sees_its_own_counts_only(statistics):
    assert (await statistics.totals(BOX, DAYS)).accepted == 4
    assert (await statistics.totals(ONE, DAYS)).accepted == 3
    assert (await statistics.totals(TWO, DAYS)).accepted == 1
    (tag,) = await statistics.top(TWO, DAYS, Dimension.TAG)
    assert (tag.value, tag.counts.accepted) == ("of-2", 1)


async def test_another_tenants_counts_are_none(statistics):
    assert (await statistics.totals(TWO, DAYS, Of(tenant_id=1))).accepted == 0
    assert await statistics.top(TWO, DAYS, Dimension.TAG, tenant_id=1) == ()
    assert (await statistics.totals(BOX, DAYS, Of(tenant_id=1))).accepted == 3


async def test_a_series_has_a_point_for_every_step_also_for_empty_ones(statistics):
    points = await statistics.series(BOX, DAYS)
    assert [point.at for point in points] == list(range(DAYS.start, DAYS.end, DAY))
    assert sum(point.counts.accepted > 0 for point in points) == 1
    hours = Period(since=START - HOUR, until=START + HOUR, step=Step.HOUR)
    points = await statistics.series(ONE, hours, Of(dimension=Dimension.PROVIDER, value="yahoo"))
    assert [point.counts.delivered for point in points] in ([0, 1], [0, 1, 0])


async def test_values_are_ranked_by_what_is_asked_for(statistics):
    ranked = await statistics.top(BOX, DAYS, Dimension.PROVIDER, order=Measure.DELIVERED, limit=2)
    assert [(one.value, one.counts.delivered) for one in ranked] == [("google", 3), ("yahoo", 1)]
    tenants = await statistics.top(BOX, DAYS, Dimension.TENANT)
    assert [(one.value, one.counts.accepted) for one in tenants] == [("1", 3), ("2", 1)]


async def test_several_values_over_time_are_one_question(statistics):
    lines = await statistics.lines(ONE, DAYS, Dimension.PROVIDER, ["yahoo", "google", "nobody"])
    assert list(lines) == ["yahoo", "google", "nobody"]
    sums = {name: sum(p.counts.delivered for p in points) for name, points in lines.items()}
    assert sums == {"yahoo": 1, "google": 2, "nobody": 0}
    totals = await statistics.sums(ONE, DAYS, Dimension.PROVIDER, ["yahoo", "google", "nobody"])
    assert {name: found.delivered for name, found in totals.items()} == {"yahoo": 1, "google": 2}


async def test_how_far_counting_is(statistics):
    standing = await statistics.standing(ONE)
    assert START <= standing.counted_to <= START + DAY
    assert (standing.since, standing.rebuilding) == (0, False)


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda s: s.totals(BOX, Period(since=START, until=START)), "until"),
        (lambda s: s.series(BOX, Period(since=0, until=START)), "since"),
        (lambda s: s.top(ONE, DAYS, Dimension.TENANT), "by"),
        (lambda s: s.top(BOX, DAYS, Dimension.TENANT, tenant_id=1), "by"),
        (lambda s: s.top(BOX, DAYS, Dimension.TOTAL), "by"),
        (lambda s: s.top(BOX, DAYS, Dimension.TAG, limit=1001), "limit"),
        (lambda s: s.lines(BOX, DAYS, Dimension.TAG, []), "values"),
    ],
)
async def test_a_question_without_bounds_or_sense_is_refused(statistics, ask, field):
    with pytest.raises(UsageError) as refused:
        await ask(statistics)
    assert refused.value.field == field
