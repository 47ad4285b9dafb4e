"""What a receiver is told: typed, compact, with what the message was given to be known by."""

from __future__ import annotations

import json

import pytest

from appliance.core.ids import from_text
from appliance.history import EventRecord
from appliance.webhooks import MessageData
from appliance.webhooks.payload import SHOWN_RECIPIENTS, Origin, origin_of, told
from mta.status import EventKind

MESSAGE = from_text("05p3k8r2m0001")
AT = 1_800_000_000_123


def event(kind: EventKind, n: int = 0, **data) -> EventRecord:
    return EventRecord(
        message_id=MESSAGE, n=n, seq=17, kind=kind, at=AT, data={"tenant": 7} | data, position=99
    )


def test_a_delivery_is_told_with_tags_and_metadata():
    origin = origin_of({"tags": ["order"], "metadata": '{"order": 12}'})
    one = event(EventKind.DELIVERED, to="a@b.example", reply="250 ok", attempt=1, took=9, steps=[])
    sent = told(one, origin)
    assert (sent.position, sent.tenant_id, sent.type) == (99, 7, "message.delivered")
    assert json.loads(sent.body) == {
        "type": "message.delivered",
        "timestamp": "2027-01-15T08:00:00.123Z",
        "data": {
            "event_id": "05p3k8r2m0001.0.17",
            "message_id": "05p3k8r2m0001",
            "recipient": "a@b.example",
            "reply": "250 ok",
            "attempt": 1,
            "tags": ["order"],
            "metadata": {"order": 12},
        },
    }


def test_an_acceptance_names_its_recipients_up_to_a_bound():
    people = [[n, f"u{n}@b.example", "b.example", "queued"] for n in range(300)]
    accepted = event(
        EventKind.ACCEPTED, -1, recipients=people, subject="Hello", **{"from": "s@a.example"}
    )
    data = json.loads(told(accepted, Origin()).body)["data"]
    assert data["recipient_count"] == 300
    assert data["recipients"] == [one[1] for one in people[:SHOWN_RECIPIENTS]]
    assert (data["from"], data["subject"]) == ("s@a.example", "Hello")
    assert "metadata" not in data


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (EventKind.BOUNCED, {"hard": True}, {"bounce": "hard"}),
        (EventKind.BOUNCED, {"hard": False}, {"bounce": "soft"}),
        (EventKind.BOUNCED_LATE, {"category": "no-mailbox"}, {"bounce": "soft"}),
        (EventKind.DEFERRED, {"next": AT}, {"next_attempt_at": "2027-01-15T08:00:00.123Z"}),
        (EventKind.DELIVERED, {"next": AT, "hard": True}, {}),
        (EventKind.SUPPRESSED, {"reason": "complained"}, {"reason": "complained"}),
    ],
)
def test_each_kind_says_its_own(kind, said, expected):
    data = json.loads(told(event(kind, **said), Origin()).body)["data"]
    data.pop("category", None)
    assert data == {"event_id": "05p3k8r2m0001.0.17", "message_id": "05p3k8r2m0001"} | expected


@pytest.mark.parametrize("metadata", ["", "no json", "[1]", '"text"', "{"])
def test_metadata_that_is_no_object_is_left_out(metadata):
    body = told(event(EventKind.DELIVERED), origin_of({"metadata": metadata})).body
    assert "metadata" not in json.loads(body)["data"]


def test_every_field_has_a_type():
    assert all(MessageData.__annotations__.values())
