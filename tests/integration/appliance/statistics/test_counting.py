"""Counting behind a cursor: each event once, however the stream is cut, whatever crashes."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.statistics import Counter, Dimension, Of, Period, Step, Store, opened
from appliance.statistics import store as store_module
from tests.support.control import START
from tests.support.history import KEEP_DAYS
from tests.support.statistics import Mail, ship

BOX = Scope.system()
ALL = Period(since=START - DAY, until=START + 60 * DAY)
SPLIT = (Dimension.DOMAIN, Dimension.PROVIDER, Dimension.EGRESS, Dimension.CLASS, Dimension.TENANT)


def count_all(counter):
    while counter.step():
        pass


async def everything(location):
    """All rows there are, as answers."""
    async with opened(location) as statistics:
        found = {}
        for step in Step:
            period = Period(since=START - DAY, until=START + 30 * DAY, step=step)
            found[step] = await statistics.totals(BOX, period)
            for by in (*SPLIT, Dimension.TAG):
                for whose in (None, 1, 2) if by is not Dimension.TENANT else (None,):
                    ranked = await statistics.top(BOX, period, by, limit=100, tenant_id=whose)
                    found[step, by, whose] = ranked
        found["days"] = await statistics.series(BOX, ALL)
        return found


async def test_every_event_counts_once_and_the_parts_of_each_dimension_make_the_whole(
    writer, reader, outbox, now, store, statistics_location
):
    mail = Mail(outbox, now)
    mail.happen(300)
    ship(writer, outbox)
    count_all(Counter(store, reader, batch=37))
    async with opened(statistics_location) as statistics:
        total = await statistics.totals(BOX, ALL)
        parts = {by: await statistics.top(BOX, ALL, by, limit=100) for by in SPLIT}
        days = await statistics.series(BOX, ALL)
        hours = await statistics.totals(
            BOX, Period(since=ALL.since, until=START + 20 * DAY, step=Step.HOUR)
        )
    seen = mail.seen
    assert total.accepted == seen["accepted"]
    assert total.bounced_hard == seen["hard"]
    assert total.bounced_soft == seen["bounced"] - seen["hard"]
    kinds = ("delivered", "deferred", "expired", "suppressed", "cancelled", "corrupt")
    late = ("complained", "bounced_late", "unsubscribed")
    assert {kind: getattr(total, kind) for kind in (*kinds, *late)} == {
        kind: seen[kind] for kind in (*kinds, *late)
    }
    assert sum(total.delays) == total.delivered
    assert hours == total
    for ranked in (*parts.values(), days):
        assert sum(one.counts.accepted for one in ranked) == total.accepted
        assert sum(one.counts.ended for one in ranked) == total.ended
        assert sum(one.counts.delay_ms for one in ranked) == total.delay_ms
    assert {one.value for one in parts[Dimension.PROVIDER]} == {"", "google", "microsoft", "other"}


async def test_the_same_log_gives_the_same_counts_in_any_batches_and_after_any_crash(
    writer, reader, outbox, now, store, statistics_location, tmp_path, monkeypatch
):
    mail = Mail(outbox, now, seed=2)
    for _ in range(4):
        mail.happen(60)
        ship(writer, outbox)
        Counter(store, reader, batch=11).step()
    count_all(Counter(store, reader, batch=11))
    expected = await everything(statistics_location)

    other = tmp_path / "again.db"
    again = Store(other, now)
    again.open()
    real, calls = store_module._add, iter(range(10_000))

    def add(*given):
        real(*given)
        if next(calls) % 3 == 1:
            raise StoreError("killed before the commit")

    monkeypatch.setattr(store_module, "_add", add)
    counter, crashes = Counter(again, reader, batch=29), 0
    while True:
        try:
            if not counter.step():
                break
        except StoreError:
            crashes += 1
            if crashes % 2:
                counter = Counter(again, reader, batch=5 + crashes)
    again.close()
    monkeypatch.undo()
    assert crashes > 3
    assert await everything(other) == expected


async def test_a_batch_that_somebody_else_has_counted_counts_nothing(
    writer, reader, outbox, now, store, statistics_location
):
    Mail(outbox, now).happen(20)
    ship(writer, outbox)
    before = store.live()
    assert not Counter(store, reader).advance(before)
    assert Counter(store, reader).advance(before), "it tries again, from where the cursor is"
    async with opened(statistics_location) as statistics:
        total = await statistics.totals(BOX, ALL)
    assert total.accepted == store_total(await everything(statistics_location))


def store_total(found):
    return sum(one.counts.accepted for one in found[Step.DAY, Dimension.TENANT, None])


async def test_an_end_that_a_restored_spool_tells_again_does_not_count_again(
    writer, reader, outbox, now, store, statistics_location
):
    message_id = outbox.accept("ann@example.net")
    outbox.tried(message_id, 0, "delivered", "ann@example.net")
    ship(writer, outbox)
    now.move(1000)
    outbox.tried(message_id, 0, "delivered", "ann@example.net")
    ship(writer, outbox)
    count_all(Counter(store, reader))
    async with opened(statistics_location) as statistics:
        total = await statistics.totals(BOX, ALL)
    assert (total.accepted, total.delivered) == (1, 1)


async def test_late_news_count_where_the_delivery_went(
    writer, reader, outbox, now, store, statistics_location
):
    message_id = outbox.accept("ann@example.net")
    outbox.tried(message_id, 0, "deferred", "ann@example.net", provider="yahoo", egress="out-9")
    outbox.tried(message_id, 0, "delivered", "ann@example.net", provider="google", egress="out-1")
    outbox.tell(message_id, 0, "complained", "ann@example.net")
    ship(writer, outbox)
    count_all(Counter(store, reader))
    async with opened(statistics_location) as statistics:
        ranked = await statistics.top(BOX, ALL, Dimension.PROVIDER)
        of_egress = await statistics.totals(BOX, ALL, Of(dimension=Dimension.EGRESS, value="out-1"))
    assert {one.value: one.counts.complained for one in ranked} == {
        "": 0,
        "google": 1,
        "yahoo": 0,
    }
    assert of_egress.complained == 1


async def test_a_day_of_the_log_that_is_dropped_takes_nothing_from_the_counts_and_they_go_on(
    writer, reader, outbox, now, store, statistics_location
):
    outbox.accept("old@example.net")
    ship(writer, outbox)
    count_all(Counter(store, reader))
    outbox.accept("never-counted@example.net")
    ship(writer, outbox)
    now.move((KEEP_DAYS + 2) * DAY)
    assert writer.tidy()
    outbox.accept("new@example.net")
    ship(writer, outbox)
    count_all(Counter(store, reader))
    async with opened(statistics_location) as statistics:
        points = await statistics.series(BOX, ALL)
    assert [point.counts.accepted for point in points if point.counts.accepted] == [1, 1]


async def test_more_values_than_a_day_keeps_apart_count_as_other(
    writer, reader, outbox, now, store, statistics_location, monkeypatch
):
    monkeypatch.setattr("appliance.statistics.rules.kept_apart", lambda *_: 3)
    for number in range(6):
        outbox.accept("ann@example.net", tags=[f"tag-{number}"])
    ship(writer, outbox)
    count_all(Counter(store, reader, batch=2))
    async with opened(statistics_location) as statistics:
        ranked = await statistics.top(BOX, ALL, Dimension.TAG)
    assert {one.value: one.counts.accepted for one in ranked} == {
        "tag-0": 1,
        "tag-1": 1,
        "tag-2": 1,
        "(other)": 3,
    }


def test_what_is_no_longer_kept_is_forgotten(writer, reader, outbox, now, store):
    outbox.accept("ann@example.net")
    ship(writer, outbox)
    count_all(Counter(store, reader))
    day = START - START % DAY
    now.move(36 * DAY)
    store.tidy(hours_days=35, days_days=400)
    assert store.values_of(1, day), "days are kept for longer"
    now.move(400 * DAY)
    store.tidy(hours_days=35, days_days=400)
    assert not store.values_of(1, day)


def test_tables_of_another_version_are_made_anew_by_the_writer_and_refused_by_readers(
    store, statistics_location, monkeypatch
):
    monkeypatch.setattr(store_module, "VERSION", 99)
    with pytest.raises(StoreError, match="version 2, this program reads 99"):
        store_module.prepare(statistics_location)
    store.open()
    store_module.prepare(statistics_location)
    assert store.live().cursor == ""
