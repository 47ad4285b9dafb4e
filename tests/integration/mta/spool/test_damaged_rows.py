"""A row that somebody damaged is passed over and told of once; whatever asks goes on with all others."""

from __future__ import annotations

import logging

import pytest

from appliance.core.ids import IdMaker, to_text
from mta.spool.check import Checked, check
from mta.spool.errors import DamagedError
from mta.spool.questions import FIRST, Kind, QueueFilter
from mta.spool.reading import SpoolReader, SqliteReader
from mta.spool.store import Cursor, QueueKey
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient
from tests.support.spools import Spool, open_shard
from tests.support.way import backend_at

KEY = QueueKey(7, "transactional", "example.net")
NO_TEXT = "CAST(x'66756c6cff' AS TEXT)"  # "full" and an octet that is none


@pytest.fixture
def spool(tmp_path):
    opened = Spool(backend_at(tmp_path))
    yield opened
    opened.store.close()


@pytest.fixture
def numbers(spool):
    """Nine messages to one domain, two recipients each."""
    maker = IdMaker(0)
    found = [maker.make(NOW + i) for i in range(9)]
    spool.write(*(admitted(n, recipient(n), recipient(n, 1)) for n in found))
    return found


def change(spool, sql):
    with spool.store.transaction():
        spool.store._connection.execute(sql)


def due(spool, size):
    found, cursor = [], Cursor()
    while page := spool.store.due(KEY, NOW, cursor, size):
        found += page
        last = page[-1]
        cursor = Cursor(last.due_at, last.message_id, last.n)
        if len(page) < size:
            break
    return [(r.message_id, r.n) for r in found]


def told(caplog):
    return [r.getMessage() for r in caplog.records if "cannot be read" in r.getMessage()]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "damage", [f"reason = {NO_TEXT}", "expires_at = 'soon'", f"address = {NO_TEXT}"]
)
def test_a_damaged_recipient_is_passed_over_and_told_of_once(spool, numbers, caplog, size, damage):
    for number in numbers[3:6]:
        change(spool, f"UPDATE recipient SET {damage} WHERE message_id = {number} AND n = 0")
    for _ in range(2):
        expected = [(m, n) for m in numbers for n in (0, 1) if n or m not in numbers[3:6]]
        assert due(spool, size) == expected
    assert len(told(caplog)) == 3
    assert to_text(numbers[3]) in told(caplog)[0]
    assert "shard 0" in told(caplog)[0]
    assert "pillarbox spool check" in told(caplog)[0]


@pytest.mark.parametrize(
    "damage",
    ["tags = '[\"a\"}'", "tags = 5", "source = 'smtq'", f"subject = {NO_TEXT}", "ret = x'ff'"],
)
def test_a_damaged_message_is_an_error_in_words(spool, numbers, damage):
    change(spool, f"UPDATE message SET {damage} WHERE id = {numbers[0]}")
    with pytest.raises(DamagedError, match="damaged"):
        spool.store.message(numbers[0])
    assert spool.store.message(numbers[1]).id == numbers[1]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    "damage",
    ["traffic_class = 'pransactional'", f"domain = {NO_TEXT}", f"pool = {NO_TEXT}"],
)
def test_a_key_that_cannot_be_read_hides_none_of_the_others(spool, numbers, caplog, size, damage):
    spool.write(
        *(admitted(1 + i, recipient(1 + i, domain=f"{c}.test")) for i, c in enumerate("abx"))
    )
    change(spool, f"UPDATE recipient SET {damage} WHERE message_id = 2")
    found, after = [], QueueKey(-1, "", "")
    while page := spool.store.waiting(after, size):
        found += [entry.key.domain for entry in page]
        after = page[-1].key
    assert found == sorted(["a.test", "x.test", "example.net"])
    assert len(told(caplog)) == 1


def test_looks_at_the_queue_leave_out_who_cannot_be_read(spool, numbers):
    change(spool, f"UPDATE recipient SET reason = {NO_TEXT} WHERE message_id = {numbers[1]}")
    change(spool, f"UPDATE message SET tags = '[\"receipt\"' WHERE id = {numbers[2]}")
    ask = spool.store.questions.find
    rest = [(m, n) for m in numbers if m != numbers[1] for n in (0, 1)]
    for wanted in (QueueFilter(), QueueFilter(tenant_id=7)):
        found, after = [], FIRST
        while after is not None:
            page = ask(wanted, after, 2)
            found += [(r.message_id, r.n) for r in page.recipients]
            after = page.after
        assert found == rest
    tagged = ask(QueueFilter(tag="receipt"), FIRST, 100)
    assert [(r.message_id, r.n) for r in tagged.recipients] == [
        place for place in rest if place[0] != numbers[2]
    ]


def test_counting_goes_on_where_a_domain_cannot_be_read(spool, numbers):
    change(spool, f"UPDATE recipient SET domain = {NO_TEXT} WHERE message_id = {numbers[0]}")
    tallies, after = spool.store.questions.tally(Kind.WAITING, None)
    assert (sum(one[3] for one in tallies), after) == (18, None)
    assert {one[1] for one in tallies} == {"example.net", "full\ufffd"}
    samples = spool.store.questions.samples(tallies, Kind.WAITING)
    assert sorted(one is None for one in samples) == [False, True]


def test_held_mail_beside_a_damaged_one_expires(spool):
    people = [recipient(n, status=Status.HELD, expires_at=NOW) for n in (1, 2, 3)]
    spool.write(*(admitted(one.message_id, one) for one in people))
    change(spool, f"UPDATE recipient SET reason = {NO_TEXT} WHERE message_id = 2")
    assert [r.message_id for r in spool.store.questions.held_expired(NOW, 10)] == [1, 3]


def test_a_content_that_one_bit_made_a_text_is_still_the_content(spool):
    spool.write(admitted(1, content=b"caf\xe9"), admitted(2, content=b"plain"))
    change(spool, "UPDATE content SET data = CAST(data AS TEXT)")
    assert [spool.store.content(n) for n in (1, 2)] == [b"caf\xe9", b"plain"]
    change(spool, "UPDATE content SET data = 5")
    assert spool.store.content(1) is None


def test_a_check_beside_the_box_names_what_cannot_be_read(spool, numbers):
    one, two, three = numbers[:3]
    change(spool, f"UPDATE recipient SET traffic_class = 'bulq' WHERE message_id = {one} AND n = 1")
    change(spool, f"UPDATE recipient SET last_host = {NO_TEXT} WHERE message_id = {two} AND n = 0")
    change(spool, f"UPDATE message SET source = 'smtq' WHERE id = {three}")
    change(spool, f"UPDATE content SET data = 5 WHERE message_id = {three}")
    reader = SpoolReader(SqliteReader(spool.backend._path), 0)
    found = [(flaw.message_id, flaw.words) for flaw in check(reader, Checked())]
    reader.close()
    assert found == [
        (one, "recipient 1 cannot be read: 'bulq' is not a valid TrafficClass"),
        (two, "recipient 0 cannot be read: a text is none, or stands where a number should"),
        (three, "the message cannot be read: 'smtq' is not a valid Source"),
        (three, "its envelope is not the one that was stored"),
        (three, "its content is not stored as octets"),
    ]


@pytest.mark.parametrize(
    "crash", [ValueError("no such word"), UnicodeDecodeError("utf-8", b"", 0, 1, "?")]
)
async def test_what_a_damaged_row_raises_fails_its_job_and_leaves_the_thread_alive(location, crash):
    shard = await open_shard(location)

    def meet(_store, _batch):
        raise crash

    with pytest.raises(DamagedError):
        await shard.call(meet)
    await shard.accept(admitted(1))
    assert await shard.call(lambda store, _: len(store.recipients(1))) == 1
    await shard.close()


@pytest.mark.parametrize("damage", ["data = 'x'", f"kind = {NO_TEXT}", "message_id = 'x'"])
def test_a_damaged_event_is_passed_over_and_told_of_once(spool, numbers, caplog, damage):
    change(spool, f"UPDATE outbox SET {damage} WHERE seq = 3")
    for _ in range(2):
        assert [event.seq for event in spool.store.events(0, 6)] == [1, 2, 4, 5, 6]
    (line,) = told(caplog)
    assert "event 3" in line
    assert [event.seq for event in spool.store.events_of(numbers[0])] == [1]


def test_a_reply_s_words_in_a_damaged_text_are_not_taken_for_those_of_the_disk(spool, numbers):
    """Else "disk I/O error" in somebody's reason would end the process."""
    words = "CAST(CAST('disk I/O error: full, malformed' AS BLOB) || x'ff' AS TEXT)"
    change(spool, f"UPDATE message SET subject = {words} WHERE id = {numbers[0]}")
    with pytest.raises(DamagedError):
        spool.store._row("message", (numbers[0],))


def test_it_is_told_of_at_error_level(spool, numbers, caplog):
    change(spool, f"UPDATE recipient SET reason = {NO_TEXT} WHERE message_id = {numbers[1]}")
    due(spool, 100)
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
