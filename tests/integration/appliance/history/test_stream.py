"""The stream of events over many days: complete in pages of any size, and past days that are dropped."""

from __future__ import annotations

import random

import pytest

from appliance.core.clock import DAY, HOUR
from appliance.core.scope import Scope
from appliance.history import EventFilters
from appliance.history.read_outbox import read
from mta.status import EventKind
from tests.support.history import KEEP_DAYS

BOX = Scope.system()


def ship(writer, outbox):
    events, rejected = read(0, outbox.take(), writer.today)
    assert not rejected
    writer.write(0, events)
    return [event.id for event in events]


@pytest.fixture
def happened(writer, outbox, now):
    """Five days of mail with news about messages of earlier days; the events as they came."""
    dice, messages, came = random.Random(5), [], []
    for _ in range(60):
        now.move(int(dice.random() * 4 * HOUR))
        messages.append(outbox.accept("ann@example.net"))
        about = dice.choice(messages)
        outbox.tried(about, 0, "deferred", "ann@example.net")
        if dice.random() < 0.5:
            came += ship(writer, outbox)
    return came + ship(writer, outbox)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_pages_of_any_size_give_every_event_once_in_the_order_they_came(reader, happened, size):
    cursor, seen, more = "", [], True
    while more:
        page = reader.events(BOX, EventFilters(), cursor=cursor, limit=size)
        seen += [event.id for event in page.events]
        cursor, more = page.cursor, page.more
    # Within a batch the older day is written first, and so takes the earlier places.
    assert sorted(seen) == sorted(happened)
    assert len(seen) == len(set(seen))
    cursor, told, more = "", [], True
    while more:
        page = reader.told(cursor=cursor, limit=size)
        told += [(one.message_id, one.n, one.at) for one in page.told]
        cursor, more = page.cursor, page.more
    events = reader.events(BOX, EventFilters(), limit=1000).events
    assert told == [(one.message_id, one.n, one.at) for one in events]
    assert seen == [one.id for one in events]


def test_a_page_reads_no_more_of_later_days_than_it_needs(reader, happened, monkeypatch):
    rows = []
    real = reader._partitions.rows

    def counted(day, sql, values):
        found = real(day, sql, values)
        rows.append(len(found))
        return found

    monkeypatch.setattr(reader._partitions, "rows", counted)
    reader.events(BOX, EventFilters(), limit=5)
    assert sum(rows) <= len(reader.days()) + 2 * 6, "a few from the day that follows at most"


def test_a_cursor_from_before_the_days_that_are_kept_goes_on_at_the_oldest(
    writer, reader, outbox, now
):
    outbox.accept("dropped@example.net")
    ship(writer, outbox)
    old = reader.end()
    outbox.accept("dropped-too@example.net")
    ship(writer, outbox)
    now.move((KEEP_DAYS + 2) * DAY)
    kept = outbox.accept("kept@example.net")
    ship(writer, outbox)
    assert writer.tidy()
    for cursor in ("", old):
        page = reader.events(BOX, EventFilters(), cursor=cursor)
        assert [event.message_id for event in page.events] == [kept]
        assert page.cursor == reader.end()


def test_a_page_of_what_is_rare_looks_at_so_many_events_and_says_that_there_is_more(
    reader, happened, monkeypatch
):
    monkeypatch.setattr("appliance.history.stream.LOOKED_AT", 10)
    filters = EventFilters(kinds=frozenset({EventKind.ACCEPTED}))
    cursor, seen, pages, more = "", [], 0, True
    while more:
        page = reader.events(BOX, filters, cursor=cursor, limit=100)
        assert len(page.events) <= 20
        seen += [event.id for event in page.events]
        cursor, more, pages = page.cursor, page.more, pages + 1
    assert len(seen) == len(set(seen)) == 60
    assert pages >= len(happened) // 20
    nothing = reader.events(Scope.tenant(99), EventFilters(), limit=5)
    assert (nothing.events, nothing.more) == ((), True)
