"""The log's writer: once, durable, by the day of the message; on day files and on PostgreSQL."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY
from appliance.core.database import sqlite_connect
from appliance.core.errors import NotFoundError
from appliance.core.scope import Scope
from appliance.history import EventFilters, Filters, Flag, LogWriter, write_partitions
from appliance.history.read_outbox import read
from mta.status import EventKind, Status
from tests.support.history import KEEP_DAYS, Outbox

BOX = Scope.system()


def ship(writer, outbox, *, keep=False):
    """As the shipper does, without its loop."""
    rows = list(outbox.rows) if keep else outbox.take()
    events, rejected = read(outbox.shard, rows, writer.today)
    return writer.write(outbox.shard, events, rejected)


def kinds(history):
    return [str(event.kind) for event in history.events]


def test_a_message_settled_in_the_batch_that_accepted_it_is_written_as_it_stands(
    writer, reader, outbox
):
    message = outbox.accept("ann@receiver.example", "bob@receiver.example", tags=["welcome"])
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    outbox.tried(
        message, 1, "bounced", "bob@receiver.example", reply="550 5.1.1 no", category="user_unknown"
    )
    ship(writer, outbox)
    history = reader.show(BOX, message)
    ann, bob = history.recipients
    assert (ann.status, ann.attempts, ann.host) == (Status.DELIVERED, 1, "mx1.receiver.example")
    assert (bob.status, bob.reply, bob.category) == (
        Status.BOUNCED,
        "550 5.1.1 no",
        "user_unknown",
    )
    assert kinds(history) == ["accepted", "delivered", "bounced"]
    assert (history.subject, history.client, history.selectors) == (
        "Your order",
        "192.0.2.9",
        ("s1",),
    )
    assert history.tags == ("welcome",)
    assert [step.reply for step in history.events[1].steps] == ["220 hello", "250 ok"]


def test_later_events_change_the_recipient_that_was_written_before(writer, reader, outbox, now):
    message = outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    outbox.tried(
        message,
        0,
        "deferred",
        "ann@receiver.example",
        reply="451 4.7.1 later",
        category="greylisted",
    )
    ship(writer, outbox)
    (ann,) = reader.show(BOX, message).recipients
    assert (ann.status, ann.reply, ann.category) == (
        Status.DEFERRED,
        "451 4.7.1 later",
        "greylisted",
    )
    now.move(60_000)
    outbox.tell(message, 0, "held", "ann@receiver.example", by="admin")
    ship(writer, outbox)
    (ann,) = reader.show(BOX, message).recipients
    # Held without words of its own: what the receiver said last stays readable.
    assert (ann.status, ann.status_at, ann.reply, ann.attempts) == (
        Status.HELD,
        now(),
        "451 4.7.1 later",
        1,
    )
    outbox.tried(message, 0, "delivered", "ann@receiver.example", attempt=2, tls="")
    ship(writer, outbox)
    (ann,) = reader.show(BOX, message).recipients
    assert (ann.status, ann.attempts, ann.category, ann.tls) == (Status.DELIVERED, 2, "", "")


def test_late_news_are_flags_and_leave_the_status(writer, reader, outbox, now):
    message = outbox.accept("ann@receiver.example")
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    ship(writer, outbox)
    delivered_at = now()
    now.move(3 * DAY)
    outbox.tell(message, 0, "bounced_late", "ann@receiver.example", reply="550 5.1.1 no", hard=True)
    outbox.tell(message, 0, "complained", "ann@receiver.example")
    ship(writer, outbox)
    (ann,) = reader.show(BOX, message).recipients
    assert ann.flags == Flag.BOUNCED_LATE | Flag.COMPLAINED
    assert (ann.status, ann.status_at, ann.reply) == (
        Status.DELIVERED,
        delivered_at,
        "250 2.0.0 ok",
    )


def test_late_news_go_to_the_day_of_their_message(writer, reader, outbox, now):
    message = outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    now.move(2 * DAY)
    fresh = outbox.accept("ann@receiver.example")
    outbox.tell(message, 0, "complained", "ann@receiver.example")
    written = ship(writer, outbox)
    assert written.kept == 2
    assert kinds(reader.show(BOX, message)) == ["accepted", "complained"]
    assert kinds(reader.show(BOX, fresh)) == ["accepted"]


def test_an_earlier_messages_event_is_appended_behind_what_came_before_it(
    writer, outbox, log_location
):
    """In the order of messages a batch of retries would rewrite a page for nearly each of them."""
    if isinstance(log_location, str):
        pytest.skip("PostgreSQL's heap has no order")
    first = outbox.accept("ann@receiver.example")
    second = outbox.accept("bob@receiver.example")
    ship(writer, outbox)
    outbox.tell(first, 0, "deferred", "ann@receiver.example")
    ship(writer, outbox)
    day = min(log_location.glob("*.db"))
    connection = sqlite_connect(day, readonly=True)
    stored = connection.execute("SELECT message_id FROM log_event ORDER BY rowid").fetchall()
    connection.close()
    assert stored == [(first,), (second,), (first,)]


def test_a_new_day_has_great_pages(writer, outbox, log_location):
    """What that is worth is told in docs/performance.md."""
    if isinstance(log_location, str):
        pytest.skip("PostgreSQL's pages are what it was built with")
    outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    connection = sqlite_connect(min(log_location.glob("*.db")), readonly=True)
    assert connection.execute("PRAGMA page_size").fetchall() == [(8192,)]
    connection.close()


def test_a_batch_that_comes_again_is_written_once(writer, reader, outbox):
    message = outbox.accept("ann@receiver.example")
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    assert ship(writer, outbox, keep=True).kept == 2
    again = ship(writer, outbox, keep=True)
    assert (again.kept, again.repeated) == (0, 2)
    # The old batch with something new behind it, as after a crash before the acknowledgement.
    outbox.tell(message, 0, "complained", "ann@receiver.example")
    third = ship(writer, outbox)
    assert (third.kept, third.repeated) == (1, 2)
    assert kinds(reader.show(BOX, message)) == ["accepted", "delivered", "complained"]
    stream = reader.events(BOX, EventFilters()).events
    assert [event.kind for event in stream] == ["accepted", "delivered", "complained"]


def test_a_spool_restored_from_a_backup_loses_no_events(writer, reader, outbox):
    first = outbox.accept("ann@receiver.example")
    outbox.tried(first, 0, "delivered", "ann@receiver.example")
    ship(writer, outbox)
    outbox.restart_numbers()
    second = outbox.accept("bob@receiver.example")
    assert ship(writer, outbox).kept == 1
    assert kinds(reader.show(BOX, second)) == ["accepted"]


def test_two_shards_count_for_themselves(writer, reader, outbox, now):
    other = Outbox(now, shard=1)
    first, second = outbox.accept("ann@a.example"), other.accept("bob@b.example")
    ship(writer, outbox)
    assert ship(writer, other).kept == 1
    assert kinds(reader.show(BOX, first)) == kinds(reader.show(BOX, second)) == ["accepted"]


def test_a_failed_batch_leaves_nothing_and_may_come_again(writer, reader, outbox, monkeypatch):
    message = outbox.accept("ann@receiver.example")

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "_take_places", killed)
        with pytest.raises(Killed):
            ship(writer, outbox, keep=True)
    with pytest.raises(NotFoundError):
        reader.show(BOX, message)
    assert ship(writer, outbox).kept == 1
    assert kinds(reader.show(BOX, message)) == ["accepted"]


def test_places_in_the_journal_rise_over_a_restart_with_a_clock_that_stepped_back(
    writer, reader, outbox, now, log_location
):
    outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    end = reader.end()
    writer.close()
    now.move(-60_000)
    again = LogWriter(write_partitions(log_location), keep_days=KEEP_DAYS, now=now)
    again.open()
    message = outbox.accept("bob@receiver.example")
    ship(again, outbox)
    again.close()
    (event,) = reader.events(BOX, EventFilters(), cursor=end).events
    assert (event.message_id, event.kind) == (message, EventKind.ACCEPTED)


def test_old_days_are_dropped_and_their_late_news_passed_over(writer, reader, outbox, now):
    old = outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    now.move(DAY)
    young = outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    now.move(KEEP_DAYS * DAY)
    assert len(writer.tidy()) == 1
    assert [row.message_id for row in reader.search(BOX, Filters()).rows] == [young]
    outbox.tell(old, 0, "complained", "ann@receiver.example")
    written = ship(writer, outbox)
    assert (written.kept, written.too_old) == (0, 1)
    with pytest.raises(NotFoundError):
        reader.show(BOX, old)
    assert writer.tidy() == []


def test_tomorrow_is_made_ahead(writer, log_location, now):
    writer.tidy()
    days = write_partitions(log_location)
    assert days.days() == [writer.today, writer.today + 1]
    days.close()


def test_words_that_no_database_index_can_hold_are_cut(writer, reader, outbox):
    message = outbox.accept("ann@receiver.example", message_id="<" + "\u20ac" * 5000 + ">")
    outbox.tried(message, 0, "deferred", "ann@receiver.example", reply="451 nul \0 here")
    assert ship(writer, outbox).kept == 2
    assert reader.search(BOX, Filters(message="<" + "\u20ac" * 5000 + ">")).rows
