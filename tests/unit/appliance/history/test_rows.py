"""What a batch writes: recipients are folded, so that most rows are written once."""

from __future__ import annotations

from appliance.history.model import Facts, LoggedEvent
from appliance.history.rows import REPLY, TEXT, Rows
from appliance.history.tables import recipient
from mta.status import EventKind

ACCEPTED = Facts(
    tenant=7,
    tags=("a", "a", "b"),
    recipients=(
        (0, "ann@x.example", "x.example", "queued"),
        (1, "b@y.example", "y.example", "held"),
    ),
)


def event(seq: int, kind: str, n: int = -1, *, message: int = 5, **facts) -> LoggedEvent:
    said = ACCEPTED if kind == "accepted" else Facts(tenant=7, **facts)
    return LoggedEvent(
        shard=0,
        seq=seq,
        message_id=message,
        n=n,
        kind=EventKind(kind),
        at=seq * 1000,
        data=b"{}",
        facts=said,
    )


def column(row, name):
    return row[[one.name for one in recipient.columns].index(name)]


def test_a_recipient_born_in_the_batch_needs_no_update():
    rows = Rows(
        [
            event(1, "accepted"),
            event(2, "deferred", 0, reply="451 later", attempt=1, category="greylisted"),
            event(3, "delivered", 0, reply="250 ok", attempt=2, host="mx"),
            event(4, "complained", 0),
        ],
        position=100,
    )
    assert [*rows.tried(), *rows.moved()] == []
    ann, other = rows.recipients()
    found = {
        name: column(ann, name) for name in ("status", "attempts", "host", "category", "flags")
    }
    assert found == {
        "status": "delivered",
        "attempts": 2,
        "host": "mx",
        "category": "",
        "flags": 4,
    }
    assert column(ann, "status_at") == 3000
    assert column(other, "status") == "held"
    assert [row[0] for row in rows.journal()] == [100, 101, 102, 103]
    assert rows.tags == [("a", 5, 7), ("b", 5, 7)]


def test_an_attempt_told_later_is_an_update_of_everything():
    rows = Rows([event(9, "deferred", 0, reply="451 later", attempt=1)], position=1)
    ((status, at, attempts, reply, *_, message, n),) = rows.tried()
    assert (status, at, attempts, reply, message, n) == ("deferred", 9000, 1, "451 later", 5, 0)
    assert [*rows.moved(), *rows.recipients()] == []


def test_flags_alone_leave_status_time_and_words():
    rows = Rows([event(9, "bounced_late", 0, reply="550 no"), event(10, "complained", 0)], 1)
    assert [*rows.moved()] == [("", 0, 0, "", 5, 5, 0)]
    assert [*rows.tried()] == []


def test_the_words_of_the_receiver_outlast_a_move_without_words():
    rows = Rows(
        [event(1, "deferred", 0, reply="451 later", attempt=1), event(2, "held", 0)], position=1
    )
    ((status, _, _, reply, *_),) = rows.tried()
    assert (status, reply) == ("held", "451 later")


def test_texts_are_cut_and_data_is_not():
    long = event(1, "deferred", 0, reply="x" * 9999, host="h" * 9999, attempt=1)
    rows = Rows([long], position=1)
    (row,) = rows.tried()
    assert len(row[3]) == REPLY
    assert len(row[4]) == TEXT
    ((*_, data),) = rows.events()
    assert data == b"{}"
