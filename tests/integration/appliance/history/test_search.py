"""Searching the log, on day files and on PostgreSQL."""

from __future__ import annotations

import pytest

from appliance.core import ids
from appliance.core.clock import DAY, HOUR
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.history import EventFilters, Filters, Flag, LogReader, cursor_at, follow
from appliance.history.queries import recipients
from appliance.history.read_outbox import read
from mta.status import EventKind, Status

BOX = Scope.system()


def ship(writer, outbox):
    events, rejected = read(outbox.shard, outbox.take(), writer.today)
    assert not rejected
    writer.write(outbox.shard, events)


def addresses(page):
    return [row.address for row in page.rows]


@pytest.fixture
def mail(writer, outbox, now):
    """Five messages over three days; the names say what is special."""
    found = {}
    found["Ann"] = outbox.accept("Ann@Receiver.example", tags=["welcome", "eu"])
    outbox.tried(found["Ann"], 0, "delivered", "Ann@Receiver.example")
    now.move(DAY)
    found["bob"] = outbox.accept(
        "bob@receiver.example", **{"from": "Other@sender.example"}, credential=4
    )
    outbox.tried(
        found["bob"],
        0,
        "bounced",
        "bob@receiver.example",
        reply="550 5.1.1 no",
        category="user_unknown",
    )
    found["annika"] = outbox.accept("annika@other.example", tags=["welcome"], subject="Order 100%")
    now.move(DAY)
    found["foreign"] = outbox.accept("ann@receiver.example", tenant=8, tags=["welcome"])
    found["two"] = outbox.accept("cyn@other.example", "dan@third.example", message_id="<x@y>")
    outbox.tried(found["two"], 1, "delivered", "dan@third.example")
    outbox.tell(found["Ann"], 0, "complained", "Ann@Receiver.example")
    ship(writer, outbox)
    return found


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (
            Filters(),
            "dan@third.example cyn@other.example ann@receiver.example annika@other.example"
            " bob@receiver.example Ann@Receiver.example",
        ),
        (Filters(address="ANN@receiver.example"), "ann@receiver.example Ann@Receiver.example"),
        (
            Filters(address="ann*"),
            "ann@receiver.example annika@other.example Ann@Receiver.example",
        ),
        (Filters(address="nobody@receiver.example"), ""),
        (Filters(domain="Other.example"), "cyn@other.example annika@other.example"),
        (Filters(message="<x@y>"), "dan@third.example cyn@other.example"),
        (Filters(message="x@y"), "dan@third.example cyn@other.example"),
        (
            Filters(tag="welcome"),
            "ann@receiver.example annika@other.example Ann@Receiver.example",
        ),
        (Filters(tag="welcome", domain="other.example"), "annika@other.example"),
        (Filters(tag="none"), ""),
        (Filters(status=Status.BOUNCED), "bob@receiver.example"),
        (Filters(status=Status.BOUNCED, category="user_unknown"), "bob@receiver.example"),
        (Filters(status=Status.BOUNCED, category="policy"), ""),
        (Filters(status=Status.DELIVERED), "dan@third.example Ann@Receiver.example"),
        (
            Filters(status=Status.QUEUED, domain="receiver.example"),
            "ann@receiver.example",
        ),
        (Filters(flags=Flag.COMPLAINED | Flag.UNSUBSCRIBED), "Ann@Receiver.example"),
        (Filters(flags=Flag.UNSUBSCRIBED), ""),
        (Filters(subject="ORDER 100%"), "annika@other.example"),
        (Filters(subject="1000"), ""),
        (Filters(subject="y_ur"), ""),
        (Filters(subject="order your", tag="welcome"), "ann@receiver.example Ann@Receiver.example"),
        (Filters(credential=4, sender_domain="SENDER.example"), "bob@receiver.example"),
        (Filters(credential=4, traffic_class="marketing"), ""),
        (Filters(traffic_class="transactional", domain="third.example"), "dan@third.example"),
        (Filters(subject="order", address="dan*"), "dan@third.example"),
        (Filters(sender_domain="ender.example"), ""),
        (Filters(sender="OTHER@sender.example"), "bob@receiver.example"),
        (
            Filters(sender="shop@sender.example", domain="third.example"),
            "dan@third.example",
        ),
    ],
)
def test_each_filter_finds_what_it_should_newest_first(mail, reader, filters, wanted):
    assert addresses(reader.search(BOX, filters)) == wanted.split()


def test_our_id_finds_the_message(mail, reader):
    page = reader.search(BOX, Filters(message=ids.to_text(mail["two"]).upper()))
    assert addresses(page) == ["dan@third.example", "cyn@other.example"]


def test_times_bound_the_search(mail, reader, now):
    day_before = now() - DAY
    page = reader.search(BOX, Filters(since=day_before, until=day_before + HOUR))
    assert addresses(page) == ["annika@other.example", "bob@receiver.example"]


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(address="ann@receiver.example"),
        Filters(domain="receiver.example"),
        Filters(tag="welcome"),
        Filters(status=Status.QUEUED),
    ],
)
def test_a_tenant_finds_only_its_own(mail, reader, filters):
    assert addresses(reader.search(Scope.tenant(8), filters)) == ["ann@receiver.example"]
    mine = reader.search(Scope.tenant(7), filters)
    assert mail["foreign"] not in [row.message_id for row in mine.rows]


def test_several_recipients_of_several_days_are_found_by_their_keys(mail, reader):
    keys = [(mail["Ann"], 0), (mail["two"], 1), (mail["two"], 7), (1 << 40, 0)]
    found = reader.several(keys)
    assert {key: one.address for key, one in found.items()} == {
        keys[0]: "Ann@Receiver.example",
        keys[1]: "dan@third.example",
    }
    many = reader.several([(mail["bob"], n) for n in range(120)])
    assert [one.address for one in many.values()] == ["bob@receiver.example"]


def test_another_tenants_message_is_not_found(mail, reader):
    with pytest.raises(NotFoundError):
        reader.show(Scope.tenant(7), mail["foreign"])
    assert reader.show(Scope.tenant(8), mail["foreign"]).recipients


@pytest.mark.parametrize("filters", [Filters(), Filters(tag="all"), Filters(address="ann*")])
def test_paging_is_complete_and_without_doubles_while_rows_come_in(
    writer, reader, outbox, now, filters
):
    first = []
    for number in range(30):
        first.append(
            outbox.accept(f"ann{number}@a.example", f"ann{number}@b.example", tags=["all"])
        )
        now.move(3 * HOUR)
    ship(writer, outbox)
    seen, cursor = [], ""
    while True:
        page = reader.search(BOX, filters, cursor=cursor, limit=7)
        seen += [(row.message_id, row.n) for row in page.rows]
        cursor = page.cursor
        if not cursor:
            break
        assert len(page.rows) == 7
        outbox.accept("ann-later@a.example", tags=["all"])
        ship(writer, outbox)
    assert seen == [(message, n) for message in reversed(first) for n in (1, 0)]


def test_a_page_that_ends_exactly_has_no_next(writer, reader, outbox):
    for _ in range(4):
        outbox.accept("ann@receiver.example")
    ship(writer, outbox)
    assert reader.search(BOX, Filters(), limit=4).cursor == ""
    assert reader.search(BOX, Filters(), limit=3).cursor


@pytest.mark.parametrize("cursor", ["x", "1.2", "0000000000000.x", "é", "-1"])
def test_a_strange_cursor_is_refused_in_words(reader, cursor):
    with pytest.raises(UsageError, match="no cursor"):
        reader.search(BOX, Filters(), cursor=cursor)
    with pytest.raises(UsageError, match="no cursor"):
        reader.events(BOX, EventFilters(), cursor=cursor.replace("1.2", "12a"))


@pytest.mark.parametrize("limit", [0, 1001])
def test_pages_are_bounded(reader, limit):
    with pytest.raises(UsageError):
        reader.search(BOX, Filters(), limit=limit)


def test_a_prefix_of_a_letter_or_two_is_refused(mail, reader):
    with pytest.raises(UsageError, match="characters"):
        reader.search(BOX, Filters(address="an*"))


def test_wildcards_of_sql_mean_nothing(mail, reader):
    assert addresses(reader.search(BOX, Filters(address="%@receiver.example"))) == []
    assert addresses(reader.search(BOX, Filters(address="a_n*"))) == []


@pytest.mark.parametrize(
    ("header", "address", "found"),
    [
        ("<x@y>", "cyn@other.example", 0),
        ("x@y", "DAN@third.example", 1),
        ("<x@y>", "rewritten@elsewhere.example", None),  # two recipients: nobody can tell
        ("<x@y>", "", None),
        ("<unknown@y>", "cyn@other.example", None),
    ],
)
def test_a_notice_without_a_token_finds_its_recipient(mail, reader, header, address, found):
    original = reader.find_recipient(header, address)
    assert (original and original.n) == found
    if original:
        assert (original.message_id, original.tenant_id) == (mail["two"], 7)


def test_a_notice_with_a_rewritten_address_finds_the_only_recipient(mail, reader):
    original = reader.find_recipient(f"<{mail['bob']}@sender.example>", "robert@elsewhere.example")
    assert (original.message_id, original.n) == (mail["bob"], 0)


def test_a_signed_return_path_finds_its_recipient(mail, reader):
    assert reader.find_original(mail["two"], 1).address == "dan@third.example"
    assert reader.find_original(mail["two"], 2) is None
    assert reader.find_original(1, 0) is None


def test_events_come_in_the_order_of_arrival_across_days(mail, reader):
    stream = reader.events(BOX, EventFilters())
    assert not stream.more
    kinds = [str(event.kind) for event in stream.events]
    assert sorted(kinds) == ["accepted"] * 5 + ["bounced", "complained", "delivered", "delivered"]
    again, cursor = [], ""
    while True:
        page = reader.events(BOX, EventFilters(), cursor=cursor, limit=2)
        again += page.events
        cursor = page.cursor
        if not page.more:
            break
    assert again == list(stream.events)


def test_the_cursor_at_the_end_serves_for_what_comes(mail, writer, reader, outbox):
    end = reader.events(BOX, EventFilters()).cursor
    assert end == reader.end()
    assert reader.events(BOX, EventFilters(), cursor=end).events == ()
    outbox.tell(mail["bob"], 0, "complained", "bob@receiver.example")
    ship(writer, outbox)
    (event,) = reader.events(BOX, EventFilters(), cursor=end).events
    assert (event.message_id, event.kind) == (mail["bob"], EventKind.COMPLAINED)


def test_a_cursor_can_be_made_of_a_time(mail, writer, reader, outbox, now):
    now.move(HOUR)
    fresh = outbox.accept("eve@receiver.example")
    ship(writer, outbox)
    (event,) = reader.events(BOX, EventFilters(), cursor=cursor_at(now())).events
    assert event.message_id == fresh
    assert len(reader.events(BOX, EventFilters(), cursor=cursor_at(0)).events) == 10


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (EventFilters(kinds=frozenset({EventKind.BOUNCED, EventKind.COMPLAINED})), 2),
        (EventFilters(address="ann@receiver.example"), 4),
        (EventFilters(domain="third.example"), 2),
        (EventFilters(domain="nowhere.example"), 0),
    ],
)
def test_the_stream_is_filtered(mail, reader, filters, wanted):
    assert len(reader.events(BOX, filters).events) == wanted


def test_the_stream_of_a_message_or_tenant_is_its_own(mail, reader):
    one = reader.events(BOX, EventFilters(message=ids.to_text(mail["Ann"])))
    assert [str(event.kind) for event in one.events] == ["accepted", "delivered", "complained"]
    theirs = reader.events(Scope.tenant(8), EventFilters())
    assert [event.message_id for event in theirs.events] == [mail["foreign"]]


def test_what_is_written_while_the_days_are_read_is_not_passed_over(
    mail, writer, reader, outbox, monkeypatch
):
    """The writer commits to the newest day and then to an older one, just after the newest was read."""
    cursor = reader.end()
    rows = reader._partitions.rows
    reads = []

    def rows_with_writes_between(*given):
        found = rows(*given)
        reads.append(given)
        if len(reads) in (1, 4):
            outbox.tell(mail["two"], 0, "complained", "cyn@other.example")
            ship(writer, outbox)
            outbox.tell(mail["Ann"], 0, "unsubscribed", "Ann@Receiver.example")
            ship(writer, outbox)
        return found

    monkeypatch.setattr(reader._partitions, "rows", rows_with_writes_between)
    seen = []
    for _ in range(3):
        page = reader.events(BOX, EventFilters(), cursor=cursor)
        cursor = page.cursor
        seen += [str(event.kind) for event in page.events]
    assert seen == ["complained", "unsubscribed"] * 2


def test_following_sees_what_comes_in_meanwhile(mail, writer, reader, outbox):
    rests = []

    def rest() -> bool:
        rests.append(1)
        if len(rests) > 1:
            return False
        outbox.tell(mail["bob"], 0, "complained", "bob@receiver.example")
        ship(writer, outbox)
        return True

    seen = list(follow(reader, BOX, EventFilters(), cursor=reader.end(), rest=rest))
    assert [event.kind for event in seen] == [EventKind.COMPLAINED]


def test_a_log_without_a_day_is_empty(reader):
    assert reader.search(BOX, Filters()).rows == ()
    assert reader.events(BOX, EventFilters()).events == ()
    assert reader.end() == "0"
    with pytest.raises(NotFoundError):
        reader.show(BOX, 1)


@pytest.mark.parametrize(
    ("filters", "scope", "index"),
    [
        (Filters(address="ann@receiver.example"), Scope.tenant(7), "address"),
        (Filters(address="ann*", status=Status.BOUNCED), BOX, "address"),
        (Filters(domain="receiver.example"), Scope.tenant(7), "domain"),
        (Filters(status=Status.BOUNCED, domain="receiver.example"), BOX, "status"),
        (Filters(flags=Flag.COMPLAINED), Scope.tenant(7), "flags"),
        (Filters(message="<x@y>"), Scope.tenant(7), "message_id_header"),
        (Filters(sender="shop@sender.example"), Scope.tenant(7), "header_from"),
        (Filters(status=Status.DELIVERED), Scope.tenant(7), "tenant"),
    ],
)
def test_sqlite_uses_the_index_meant_and_sorts_only_prefixes(
    tmp_path, mail, log_location, reader, filters, scope, index
):
    if isinstance(log_location, str):
        return  # PostgreSQL plans by its own statistics
    query = recipients(filters, scope, reader._dialect)
    values = query.values(lo=0, hi=1 << 62, cursor_id=1 << 62, cursor_n=0, limit=10)
    (day, *_) = reader._partitions.days()
    plan = [
        row[3] for row in reader._partitions.rows(day, f"EXPLAIN QUERY PLAN {query.sql}", values)
    ]
    inner = plan[: next(i for i, step in enumerate(plan) if "page" in step and "SCAN" in step)]
    assert any(f"ix_log_recipient_{index} " in step for step in inner), plan
    assert any("TEMP B-TREE" in step for step in inner) == filters.address.endswith("*"), plan


def test_a_reader_shared_by_another_process_sees_commits_at_once(mail, log_location):
    second = LogReader(log_location)
    assert len(second.search(BOX, Filters()).rows) == 6
    second.close()


def test_what_waits_of_a_tenant_is_counted_by_the_quarter_of_an_hour(reader, mail, now):
    quarter = 15 * 60_000
    found = reader.waiting(Scope.tenant(7), now() - DAY - HOUR)
    assert found == {(now() - at) // quarter * quarter: 1 for at in (0, DAY)}
    assert reader.waiting(Scope.tenant(7), now() - HOUR) == {now() // quarter * quarter: 1}
    assert reader.waiting(Scope.tenant(9), 1) == {}
