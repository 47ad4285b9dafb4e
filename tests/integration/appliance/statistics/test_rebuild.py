"""Making the counts again: readers see the old ones until the new are whole."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY
from appliance.core.errors import ConflictError
from appliance.core.scope import Scope
from appliance.statistics import Counter, Dimension, Period, Rebuild, Step, opened
from appliance.statistics.model import COLUMNS, EVERYBODY
from appliance.statistics.rules import Row
from tests.support.control import START
from tests.support.history import KEEP_DAYS
from tests.support.statistics import Mail, ship

BOX = Scope.system()
ALL = Period(since=START - DAY, until=START + 60 * DAY)


@pytest.fixture
def rebuild(store, reader, monkeypatch):
    monkeypatch.setattr("appliance.statistics.counter.BATCH", 40)
    return Rebuild(store, reader)


async def series(location):
    async with opened(location) as statistics:
        return await statistics.series(BOX, ALL), await statistics.standing(BOX)


def spoil(store):
    """Counts that are wrong, as a program with a mistake leaves them."""
    live, row = store.live(), Row(EVERYBODY, Dimension.TOTAL, START - START % DAY, "")
    assert store.advance(live, live.cursor, live.counted_to, {Step.DAY: {row: [7] * len(COLUMNS)}})


async def test_a_rebuild_gives_what_counting_gave_and_shows_nothing_before_it_is_whole(
    writer, reader, outbox, now, store, rebuild, statistics_location
):
    Mail(outbox, now).happen(150)
    ship(writer, outbox)
    while Counter(store, reader).step():
        pass
    right, _ = await series(statistics_location)
    spoil(store)
    wrong, _ = await series(statistics_location)
    assert wrong != right
    number = rebuild.begin()
    assert rebuild.step(number)
    during, standing = await series(statistics_location)
    assert (during, standing.rebuilding) == (wrong, True)
    assert 0 <= rebuild.progress(number, now()) <= 1
    while rebuild.step(number):
        pass
    after, standing = await series(statistics_location)
    assert (after, standing.rebuilding) == (right, False)
    assert not rebuild.step(number), "a step that comes again after the last"


async def test_counting_goes_on_behind_a_rebuild(
    writer, reader, outbox, now, store, rebuild, statistics_location
):
    outbox.accept("one@example.net")
    ship(writer, outbox)
    counter = Counter(store, reader)
    counter.step()
    number = rebuild.begin()
    outbox.accept("two@example.net")
    ship(writer, outbox)
    counter.step()
    while rebuild.step(number):
        pass
    outbox.accept("three@example.net")
    ship(writer, outbox)
    counter.step()
    points, _ = await series(statistics_location)
    assert sum(point.counts.accepted for point in points) == 3


async def test_what_the_log_no_longer_has_is_taken_over(
    writer, reader, outbox, now, store, rebuild, statistics_location
):
    counter = Counter(store, reader)
    for _ in range(3):
        outbox.accept("ann@example.net")
        ship(writer, outbox)
        counter.step()
        now.move(KEEP_DAYS // 2 * DAY)
        writer.tidy()
    before, _ = await series(statistics_location)
    assert sum(point.counts.accepted for point in before) == 3
    number = rebuild.begin()
    while rebuild.step(number):
        pass
    after, standing = await series(statistics_location)
    assert after == before
    assert standing.since > 0


async def test_of_two_rebuilds_the_later_wins(writer, outbox, store, rebuild):
    outbox.accept("ann@example.net")
    ship(writer, outbox)
    first, second = rebuild.begin(), rebuild.begin()
    with pytest.raises(ConflictError, match="another rebuild"):
        rebuild.step(first)
    while rebuild.step(second):
        pass
    assert store.live().number == second


def test_a_rebuild_that_was_given_up_is_dropped_a_day_later(store, rebuild, now):
    number = rebuild.begin()
    now.move(DAY // 2)
    store.tidy(hours_days=35, days_days=400)
    assert store.get(number)
    now.move(DAY)
    store.tidy(hours_days=35, days_days=400)
    assert store.get(number) is None
