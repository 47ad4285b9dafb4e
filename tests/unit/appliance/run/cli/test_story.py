from __future__ import annotations

from appliance.run.cli.output import Table
from appliance.run.cli.story import Happened, Story, _together, story_parts

AT = 1_800_000_000_000
MESSAGE = {
    "id": "05p3k8r2m0001",
    "sender": "app@shop.example",
    "from": "shop@shop.example",
    "message_id": "<1@shop.example>",
    "subject": "Your order",
    "size": 4096,
    "accepted_at": AT,
    "client": "192.0.2.9",
    "class": "transactional",
    "tags": ["orders"],
    "signing_domain": "shop.example",
}
ACCEPTED = Happened(
    n=-1,
    kind="accepted",
    at=AT,
    data={
        "size": 4096,
        "sender": "app@shop.example",
        "recipients": [[0, "joe@example.com", "example.com", "queued"]],
        "signed": ["pb1r"],
        "signing_domain": "shop.example",
        "class": "transactional",
    },
)
DEFERRED = Happened(
    n=0,
    kind="deferred",
    at=AT + 1500,
    data={
        "to": "joe@example.com",
        "reply": "451 4.7.1 later\x1b[2J",
        "host": "mx.example.com",
        "next": AT + 300_000,
        "steps": [[0, "", "220 hello"], [12, "MAIL FROM:<>", "451 4.7.1 later"]],
    },
)


def _recipient(**changes):
    standing = {
        "n": 0,
        "address": "joe@example.com",
        "status": "deferred",
        "attempts": 1,
        "next": AT + 300_000,
        "reason": "451 4.7.1 later",
    }
    return standing | changes


def test_what_queue_and_log_both_have_is_told_once_and_in_order():
    past = Story(
        message={},
        recipients=[_recipient(status="queued", category="greylisted")],
        events=[ACCEPTED],
    )
    waiting = Story(message=MESSAGE, recipients=[_recipient()], events=[DEFERRED, ACCEPTED])
    story = _together(waiting, past)
    assert [event.kind for event in story.events] == ["accepted", "deferred"]
    assert story.recipients == [_recipient(category="greylisted")], "the queue knows the present"
    assert story.message is MESSAGE


def test_a_story_tells_state_next_try_and_every_step():
    story = Story(message=MESSAGE, recipients=[_recipient()], events=[ACCEPTED, DEFERRED])
    parts = list(story_parts(story, AT + 60_000, steps=True))
    table = next(part for part in parts if isinstance(part, Table))
    assert table.rows[0][:4] == (
        "joe@example.com",
        "deferred",
        "1",
        "2027-01-15 08:05:00Z (in 4 min)",
    )
    text = "\n".join(part for part in parts if isinstance(part, str))
    for words in (
        "From: shop@shop.example",
        "signed",
        "queued",
        "+1.500 s",
        "mx.example.com",
        "12 ms  MAIL FROM:<> -> 451 4.7.1 later",
        "(connected) -> 220 hello",
    ):
        assert words in text
    assert "+1.500 s" not in "\n".join(
        map(
            str,
            story_parts(Story(message=MESSAGE, recipients=[], events=[ACCEPTED]), AT, steps=False),
        )
    )


def test_json_names_the_steps_and_the_recipients_number():
    story = Story(message=MESSAGE, recipients=[], events=[ACCEPTED, DEFERRED])
    accepted, deferred = story.for_json()["events"]
    assert accepted["n"] is None
    assert deferred["n"] == 0
    assert deferred["steps"][1] == {
        "after_ms": 12,
        "command": "MAIL FROM:<>",
        "reply": "451 4.7.1 later",
    }
