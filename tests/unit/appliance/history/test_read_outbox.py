"""Reading outbox rows: the log takes what the owners really write, and nothing stops it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.clock import DAY
from appliance.core.ids import IdMaker
from appliance.history.model import OutboxRow
from appliance.history.read_outbox import read
from mta.status import EventKind, Status

NOW = 1_800_000_000_000
TODAY = NOW // DAY
MESSAGE = IdMaker(3).make(NOW)
NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)


def read_one(shard, one, today):
    """The event, or its rejection as an error."""
    events, rejected = read(shard, [one], today)
    if rejected:
        raise ValueError(rejected[0].problem)
    return events[0]


def row(data: bytes, *, n: int = 0, kind: str = "delivered", message: int = MESSAGE) -> OutboxRow:
    return OutboxRow(1, message, n, kind, NOW, data)


@given(
    rows=st.lists(
        st.builds(
            OutboxRow,
            NUMBERS,
            NUMBERS,
            NUMBERS,
            st.text(max_size=9),
            NUMBERS,
            st.binary(max_size=40),
        )
    )
)
def test_nonsense_is_set_aside_and_never_raised(rows):
    events, rejected = read(3, rows, TODAY)
    assert events == []
    assert [one.row for one in rejected] == rows
    assert all(one.problem for one in rejected)


@pytest.mark.parametrize("kind", [k for k in EventKind if k is not EventKind.ACCEPTED])
def test_every_kind_is_taken(kind):
    event = read_one(3, row(b'{"tenant": 7, "to": "ann@x.example"}', kind=str(kind)), TODAY)
    assert (event.kind, event.facts.to) == (kind, "ann@x.example")


@pytest.mark.parametrize("status", list(Status))
def test_accepted_takes_every_status(status):
    data = b'{"tenant": 7, "recipients": [[0, "a@x.example", "x.example", "%s"]]}'
    event = read_one(3, row(data % status.encode(), n=-1, kind="accepted"), TODAY)
    assert event.facts.recipients[0][3] == status


@pytest.mark.parametrize("number", [-1, 1 << 63, 1 << 70])
def test_numbers_that_no_database_holds_are_refused(number):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are msgspec's or ours
        read_one(3, row(b'{"tenant": %d}' % number), TODAY)


def test_nul_in_a_remotes_words_is_replaced_for_the_columns_only():
    event = read_one(3, row(rb'{"tenant": 7, "reply": "451 a\u0000b"}'), TODAY)
    assert event.facts.reply == "451 a\ufffdb"
    assert rb"\u0000" in event.data


def test_messages_of_days_to_come_are_taken_because_a_clock_that_was_ahead_leaves_its_ids_there():
    ids = IdMaker(3)
    ids.make(NOW + 3 * 365 * DAY)  # the clock was three years ahead for a moment
    assert read_one(3, row(b'{"tenant": 7}', message=ids.make(NOW)), TODAY)
    with pytest.raises(ValueError, match="yet to come"):
        read_one(3, row(b'{"tenant": 7}', message=IdMaker(3).make(NOW + 12 * 365 * DAY)), TODAY)
