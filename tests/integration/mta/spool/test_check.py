"""What `spool check` finds in the rows of a spool, on both databases, beside its owner."""

from __future__ import annotations

import pytest

from appliance.core.ids import IdMaker
from mta.spool.backend import SqliteBackend
from mta.spool.check import Checked, check
from mta.spool.reading import PostgresReader, SpoolReader, SqliteReader, shards_of_database
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient, settlement


def reader_of(backend):
    if isinstance(backend, SqliteBackend):
        return SqliteReader(backend._path)
    return PostgresReader(backend._url)


@pytest.fixture
def reader(spool):
    opened = SpoolReader(reader_of(spool.backend), 0)
    yield opened
    opened.close()


@pytest.fixture
def number(spool):
    """A message with three recipients, of whom one has ended, among others: more than two pages."""
    maker = IdMaker(0)
    numbers = [maker.make(NOW + i) for i in range(500)]
    people = {number: [recipient(number, n) for n in range(3)] for number in numbers}
    spool.write(
        *(
            admitted(number, *three, content=b"x" * 4000, idempotency_key=str(number))
            for number, three in people.items()
        )
    )
    spool.write(settle=tuple(settlement(three[0], Status.DELIVERED) for three in people.values()))
    return numbers[250]


def found(reader):
    checked = Checked()
    return [(flaw.message_id, flaw.words) for flaw in check(reader, checked)], checked


def change(spool, sql):
    with spool.store.transaction():
        spool.store._connection.execute(sql)


def test_a_sound_spool_has_no_flaws_and_everything_is_looked_at(spool, reader, number):
    flaws, checked = found(reader)
    assert flaws == []
    assert (checked.messages, checked.recipients, checked.waiting) == (500, 1500, 1000)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            "DELETE FROM content WHERE message_id = {}",
            ["2 recipients wait for content that is gone"],
        ),
        (
            "DELETE FROM message WHERE id = {}",
            ["3 recipients without their message", "content without its message"],
        ),
        ("DELETE FROM recipient WHERE message_id = {}", ["a message without recipients"]),
        (
            "UPDATE recipient SET status = 'sending' WHERE message_id = {} AND n = 1",
            ["recipient 1 has the state 'sending', which nobody knows"],
        ),
        (
            "UPDATE message SET open = 3 WHERE id = {}",
            ["2 recipients are open, the message says 3"],
        ),
        (
            "UPDATE recipient SET address = 'eve@example.org' WHERE message_id = {} AND n = 1",
            ["its envelope is not the one that was stored"],
        ),
        (
            "UPDATE content SET digest = 1 WHERE message_id = {}",
            ["its content is not the one that was stored"],
        ),
    ],
)
def test_a_flaw_is_found_with_its_message(spool, reader, number, damage, words):
    change(spool, damage.format(number))
    assert found(reader)[0] == [(number, one) for one in words]


def test_rows_from_before_there_were_digests_are_no_flaw(spool, reader, number):
    change(spool, "UPDATE message SET digest = NULL")
    change(spool, "UPDATE content SET digest = NULL")
    assert found(reader)[0] == []


def test_shards_of_one_database_are_told_apart(spool, reader, number):
    assert shards_of_database(reader_of(spool.backend)) == [0]
    other = SpoolReader(reader_of(spool.backend), 1)
    assert found(other) == ([], Checked())
    other.close()


def test_keys_and_events_are_read_in_pages_to_their_end(spool, reader, number, monkeypatch):
    monkeypatch.setattr("mta.spool.reading._ROWS", 70)
    keys = [row[1] for page in reader.idempotency_keys() for row in page]
    assert len(keys) == len(set(keys)) == 500
    events = [row[1] for page in reader.events() for row in page]
    assert events == list(range(1, 1001))
