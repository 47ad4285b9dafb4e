"""Which events suppress, which are counted, and which are not the recipient's fault."""

from __future__ import annotations

import pytest

from appliance.history.model import Facts, LoggedEvent
from appliance.history.suppress import is_soft, soft_bounces_and_deliveries, suppression_of
from appliance.suppressions import Reason
from mta.status import EventKind


def event(kind: str, seq: int = 1, **facts) -> LoggedEvent:
    said = Facts(**({"tenant": 7, "to": "Ann@x.example"} | facts))
    return LoggedEvent(
        shard=0,
        seq=seq,
        message_id=1 << 40,
        n=0,
        kind=EventKind(kind),
        at=5,
        data=b"{}",
        facts=said,
    )


@pytest.mark.parametrize(
    ("kind", "facts", "reason"),
    [
        ("bounced", {"hard": True}, Reason.HARD_BOUNCE),
        ("bounced", {"hard": False}, None),
        ("bounced_late", {"hard": True}, Reason.HARD_BOUNCE),
        ("bounced_late", {}, None),
        ("complained", {}, Reason.COMPLAINT),
        ("unsubscribed", {}, Reason.UNSUBSCRIBE),
        ("deferred", {"hard": True}, None),
        ("delivered", {}, None),
        ("delayed_late", {}, None),
        ("suppressed", {"hard": True}, None),
    ],
)
def test_what_suppresses(kind, facts, reason):
    one = event(kind, **facts)
    found = suppression_of(one)
    assert (found and found.reason) == reason
    if found:
        assert found == (one.id, 7, "Ann@x.example", reason, 5)


RECIPIENT = {"scope": "recipient"}


@pytest.mark.parametrize(
    ("kind", "facts", "soft"),
    [
        ("bounced", {"category": "mailbox_full", "reply": "552 5.2.2 full"}, True),
        ("bounced_late", {"category": "mailbox_full", "reply": "552 5.2.2 full"}, True),
        ("expired", {"category": "mailbox_full", "reply": "452 4.2.2 full"}, True),
        ("bounced", {"category": "other", "reply": "550 no", **RECIPIENT}, True),
        ("bounced", {"category": "other", "reply": "550 5.7.1 no", **RECIPIENT}, False),
        ("bounced", {"category": "user_unknown", "reply": "550 5.7.129 no"}, False),
        ("bounced", {"category": "other", "reply": "554 no", "scope": "message"}, False),
        ("expired", {"category": "other", "reply": "451 later", **RECIPIENT}, False),
        ("bounced", {"category": "spam", "reply": "550 spam", **RECIPIENT}, False),
        ("expired", {"category": "network", "reply": "421 timeout", **RECIPIENT}, False),
        ("bounced", {"category": "user_unknown", "hard": True}, False),
        ("deferred", {"category": "mailbox_full", "reply": "452 4.2.2 full"}, False),
    ],
)
def test_what_counts_against_the_mailbox(kind, facts, soft):
    assert is_soft(event(kind, **facts)) == soft


def test_a_delivery_clears_what_came_before_it_and_not_what_comes_after():
    full = {"category": "mailbox_full", "reply": "552 5.2.2 full"}
    events = [
        event("bounced", 1, **full),
        event("delivered", 2, to="ANN@x.example"),
        event("bounced", 3, **full),
        event("bounced", 4, to="bob@x.example", **full),
    ]
    soft, delivered = soft_bounces_and_deliveries(events)
    assert [one.event_id for one in soft] == [events[2].id, events[3].id]
    assert delivered == {(7, "ann@x.example")}


def test_a_notice_that_was_read_twice_counts_as_one():
    first = suppression_of(event("complained", seq=1, notice="n1"))
    again = suppression_of(event("complained", seq=2, notice="n1"))
    another = suppression_of(event("complained", seq=3, notice="n2"))
    assert first is not None
    assert again is not None
    assert another is not None
    assert first.event_id == again.event_id != another.event_id
