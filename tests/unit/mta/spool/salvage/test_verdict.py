"""What becomes of a message of which parts are gone, by what the event log knows of it."""

from __future__ import annotations

from typing import Any

import pytest

from mta.spool import digest
from mta.spool.batch import Batch
from mta.spool.salvage import verdict
from mta.spool.salvage.verdict import Content, Logged, LoggedRecipient, Parts, judge
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient

ID = 1


def rows(*statuses: Status) -> tuple[Any, tuple[Any, ...]]:
    batch = Batch(shard=0, now=NOW, next_seq=1)
    people = [recipient(ID, n, status=status) for n, status in enumerate(statuses)]
    batch.add_message(admitted(ID, *people))
    return batch.messages[0], tuple(batch.recipients)


def parts(*statuses: Status, **changes: Any) -> Parts:
    message, people = rows(*statuses)
    values = {
        "message_id": ID,
        "message": message,
        "recipients": people,
        "content": Content.WHOLE,
        "ends": {},
        "is_doubtful": False,
    }
    return Parts(**(values | changes))


def log(*statuses: Status, **changes: Any) -> Logged:
    people = tuple(
        LoggedRecipient(n, f"user{n}@example.net", str(status)) for n, status in enumerate(statuses)
    )
    values = {"tenant_id": 7, "sender": "orders@shop.example.com", "size": 22} | changes
    return Logged(ID, values["tenant_id"], values["sender"], values["size"], people)


QUEUED, DELIVERED = Status.QUEUED, Status.DELIVERED


def lost(found: verdict.Verdict) -> dict[int, str]:
    return {one.n: one.why for one in found.lost}


def test_what_is_whole_stays_as_it_is():
    assert judge(parts(QUEUED, DELIVERED), None, can_tell=False) == verdict.Verdict()
    found = judge(parts(QUEUED, DELIVERED), log(QUEUED, DELIVERED), can_tell=True)
    assert found == verdict.Verdict()


@pytest.mark.parametrize("content", [Content.NONE, Content.DAMAGED])
def test_without_its_bytes_whoever_waits_is_lost_and_the_others_are_not(content):
    found = judge(parts(QUEUED, DELIVERED, content=content), None, can_tell=True)
    assert lost(found) == {0: verdict.NO_CONTENT}
    assert not found.drops


def test_without_its_envelope_it_is_dropped_and_named():
    found = judge(parts(QUEUED, DELIVERED, message=None), None, can_tell=True)
    assert found.drops
    assert lost(found) == {0: verdict.NO_ENVELOPE}


def test_of_an_ended_message_nothing_is_missed():
    found = judge(parts(DELIVERED, message=None), log(DELIVERED), can_tell=True)
    assert found == verdict.Verdict(drops=True)


def test_an_end_that_the_log_or_the_outbox_knows_is_not_tried_again():
    found = judge(parts(QUEUED, QUEUED), log(DELIVERED, QUEUED), can_tell=True)
    assert found.ends == [(0, "delivered")]
    found = judge(parts(QUEUED, QUEUED, ends={1: "bounced"}), log(QUEUED, QUEUED), can_tell=True)
    assert found.ends == [(1, "bounced")]
    assert found.lost == []


def test_an_end_whose_event_never_reached_the_log_is_told_again():
    found = judge(parts(DELIVERED, QUEUED), log(QUEUED, QUEUED), can_tell=True)
    assert found.untold == [0]
    found = judge(
        parts(DELIVERED, QUEUED, ends={0: "delivered"}), log(QUEUED, QUEUED), can_tell=True
    )
    assert found.untold == []


def test_a_recipient_whose_row_is_gone_is_named_and_the_others_stay():
    message, people = rows(QUEUED, QUEUED)
    found = judge(parts(message=message, recipients=people[:1]), log(QUEUED, QUEUED), can_tell=True)
    assert lost(found) == {1: verdict.NO_ROW}
    assert found.lost[0].address == "user1@example.net"
    assert found.is_rewritten


def test_without_a_log_only_their_number_is_known_and_nobody_is_trusted():
    message, people = rows(QUEUED, QUEUED, QUEUED)
    found = judge(parts(message=message, recipients=people[:1]), None, can_tell=False)
    assert lost(found)[0] == verdict.NOT_THE_SAME
    assert "2 such" in lost(found)[verdict.NOBODY]


def test_nothing_is_sent_to_an_address_that_is_not_the_one_that_was_stored():
    message, people = rows(QUEUED, QUEUED)
    flipped = (*people[0][:5], "usar0@example.net", *people[0][6:])
    found = judge(
        parts(message=message, recipients=(flipped, people[1])), log(QUEUED, QUEUED), can_tell=True
    )
    assert lost(found) == {0: verdict.NOT_THE_SAME}


def test_nothing_is_sent_of_a_message_that_the_log_knows_otherwise():
    message, people = rows(QUEUED)
    flipped = (*message[:6], "ordars@shop.example.com", *message[7:])
    found = judge(parts(message=flipped, recipients=people), log(QUEUED), can_tell=True)
    assert lost(found) == {0: verdict.NOT_THE_SAME}


def test_without_a_digest_what_is_there_is_believed():
    message, people = rows(QUEUED, QUEUED)
    old = (*message[:-1], None)
    found = judge(parts(message=old, recipients=people[:1]), None, can_tell=False)
    assert list(lost(found)) == [verdict.NOBODY]


def test_what_may_be_old_is_held_only_when_nobody_can_say():
    doubtful = parts(QUEUED, DELIVERED, is_doubtful=True)
    assert judge(doubtful, None, can_tell=False).holds == [0]
    assert judge(doubtful, None, can_tell=True).holds == []
    assert judge(doubtful, log(QUEUED, DELIVERED), can_tell=True).holds == []


def test_content_that_belongs_to_nobody_is_named_unless_it_may_be_old():
    alone = parts(message=None, recipients=())
    assert [one.n for one in judge(alone, None, can_tell=True).lost] == [verdict.NOBODY]
    old = parts(message=None, recipients=(), is_doubtful=True)
    assert judge(old, None, can_tell=True).lost == []


def test_the_digest_of_an_envelope_sees_what_never_changes_and_nothing_else():
    message, people = rows(QUEUED)
    first = digest.of_envelope(message, people)
    moved = (*people[0][:7], "delivered", *people[0][8:])
    assert digest.of_envelope(message, (moved,)) == first
    assert digest.of_envelope((*message[:6], "x@y.example", *message[7:]), people) != first
    assert digest.of_envelope(message, ()) != first
