from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.headers import scan
from mta.policy.prepare import Prepared, prepare
from mta.policy.refusal import Refused
from mta.status import TrafficClass
from tests.support import corpus
from tests.support.submissions import credential, submission

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000_000
ID = 744_560_123_456_789
HEAD = b"From: Shop <orders@Shop.Example.com>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@shop>\r\n"


def _prepare(content: bytes, **changes: object) -> Prepared:
    made = submission(content, **changes)
    allow = made.smtputf8 or made.credential.accept_8bit_headers
    block = scan(content, allow_8bit=allow)
    return prepare(made, block, message_id=ID, hostname="mx.example.com", now_ms=NOW)


def _without_received(content: bytes) -> bytes:
    match = re.match(rb"Received: [^\r]*(?:\r\n\t[^\r]*)*\r\n", content)
    assert match is not None
    return content[match.end() :]


def _head(*lines: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\nbody\r\n"


def test_a_complete_message_gets_one_received_and_nothing_else():
    content = _head(b"Subject: x", b"To: a@b")
    assert _without_received(_prepare(content).content) == content


def test_missing_date_and_message_id_are_added_at_the_end_of_the_block():
    prepared = _prepare(b"From: a@example.com\r\nX: y\r\n\r\nbody\r\n")
    assert _without_received(prepared.content) == (
        b"From: a@example.com\r\nX: y\r\n"
        b"Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
        b"Message-ID: " + prepared.message_id_header.encode() + b"\r\n"
        b"\r\nbody\r\n"
    )
    assert prepared.message_id_header.endswith("@mx.example.com>")


def test_a_message_without_a_body_gets_its_missing_fields_too():
    prepared = _prepare(b"From: a@example.com\r\nMessage-ID: <1@x>\r\n")
    assert prepared.content.endswith(
        b"Message-ID: <1@x>\r\nDate: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
    )


@pytest.mark.parametrize("name", [b"Bcc", b"bCC", b"Resent-Bcc", b"Return-Path"])
def test_blind_copies_and_return_paths_are_dropped_with_their_folds(name: bytes):
    content = _head(
        b"A: 1", name + b": x@example.com,\r\n y@example.com", b"B: 2", name + b": z@w", b"C: 3"
    )
    assert _without_received(_prepare(content).content) == _head(b"A: 1", b"B: 2", b"C: 3")


def test_control_headers_are_read_and_removed():
    prepared = _prepare(
        _head(
            b"x-pillarbox-class: bulk",
            b"A: 1",
            b"X-Pillarbox-Tag: one,\r\n\ttwo",
            b'X-Pillarbox-Metadata: {"a": 1}',
            b"X-Pillarbox-Send-At: 2026-09-22T00:00:00Z",
            b"X-Pillarbox-Idempotency-Key: k",
            b"Feedback-ID: a:b:c:d",
        )
    )
    assert _without_received(prepared.content) == _head(b"A: 1", b"Feedback-ID: a:b:c:d")
    assert prepared.traffic_class is TrafficClass.BULK
    assert prepared.tags == ("one", "two")
    assert prepared.metadata == '{"a": 1}'
    assert prepared.send_at == 1_790_035_200_000
    assert prepared.idempotency_key == "k"


def test_what_is_not_ours_stays_even_where_it_is_odd():
    odd = (
        b"subject:no space",
        b"X-Empty:",
        b"Subject: twice",
        b"X:  \t two  spaces \t ",
        b"Received: x",
    )
    assert _without_received(_prepare(_head(*odd)).content) == _head(*odd)


@pytest.mark.parametrize(
    ("lines", "default", "expected"),
    [
        ((), None, TrafficClass.TRANSACTIONAL),
        ((b"List-Unsubscribe: <https://x>",), None, TrafficClass.BULK),
        ((b"List-Id: <x>",), None, TrafficClass.BULK),
        ((b"Precedence: Bulk",), None, TrafficClass.BULK),
        ((b"Precedence: list",), None, TrafficClass.TRANSACTIONAL),
        ((), TrafficClass.BULK, TrafficClass.BULK),
        ((b"List-Id: <x>",), TrafficClass.TRANSACTIONAL, TrafficClass.TRANSACTIONAL),
        ((b"X-Pillarbox-Class: transactional",), TrafficClass.BULK, TrafficClass.TRANSACTIONAL),
    ],
)
def test_the_class_comes_from_header_credential_or_looks(
    lines: tuple[bytes, ...], default: TrafficClass | None, expected: TrafficClass
):
    prepared = _prepare(_head(*lines), credential=credential(traffic_class=default))
    assert prepared.traffic_class is expected


def test_bulk_mail_gets_a_feedback_id_and_other_mail_does_not():
    bulk = _prepare(_head(b"List-Id: <x>", b"X-Pillarbox-Tag: sale"))
    assert b"\r\nFeedback-ID: sale:acme:bulk:pillarbox\r\n\r\nbody" in bulk.content
    assert b"Feedback-ID" not in _prepare(_head()).content


def test_the_credential_s_tags_come_first():
    prepared = _prepare(_head(b"X-Pillarbox-Tag: b, a"), credential=credential(tags=("a", "c")))
    assert prepared.tags == ("a", "c", "b")


def test_what_the_box_must_know_is_read_from_the_headers():
    prepared = _prepare(
        _head(
            b"Subject: =?utf-8?q?caf=C3=A9?=",
            b"List-Unsubscribe: <https://x>",
            b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        )
    )
    assert prepared.header_from_address == "orders@shop.example.com"
    assert prepared.header_from_domain == "shop.example.com"
    assert prepared.subject == "café"
    assert prepared.message_id_header == "<1@shop>"
    assert prepared.has_list_unsubscribe
    assert prepared.has_list_unsubscribe_post


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"List-Unsubscribe:",),
        (b"List-Unsubscribe-Post: yes",),
        (b"X-List-Unsubscribe: <https://x>",),
    ],
)
def test_an_unsubscribe_header_that_says_nothing_does_not_count(lines: tuple[bytes, ...]):
    prepared = _prepare(_head(*lines))
    assert not prepared.has_list_unsubscribe
    assert not prepared.has_list_unsubscribe_post


def test_an_empty_message_id_is_left_alone():
    content = b"From: a@example.com\r\nDate: x\r\nMessage-ID:\r\n\r\n"
    prepared = _prepare(content)
    assert _without_received(prepared.content) == content
    assert prepared.message_id_header == ""


def test_8_bit_names_pass_where_the_credential_allows_them():
    content = (
        b"From: J\xe9 <a@example.com>\r\n"
        + HEAD.partition(b"\r\n")[2]
        + b"Subject: caf\xe9\r\n\r\n"
    )
    prepared = _prepare(content, credential=credential(accept_8bit_headers=True))
    assert _without_received(prepared.content) == content
    assert prepared.subject == "café"


_OTHER = st.sampled_from(
    [b"Subject: x", b"To: a@b,\r\n c@d", b"X-Y:z ", b"Received: by q", b"Cc: e@f"]
)
_TAKEN = st.sampled_from(
    [b"Bcc: a@b\r\n ,c@d", b"Return-Path: <>", b"X-Pillarbox-Tag: t", b"resent-bcc:"]
)


@given(st.lists(st.tuples(st.booleans(), _OTHER, _TAKEN), max_size=12), st.binary(max_size=100))
def test_content_without_what_was_added_and_removed_is_the_original(rows: list, body: bytes):
    body = body.replace(b"\0", b"")
    given_lines = [taken if take else other for take, other, taken in rows]
    kept_lines = [other for take, other, _ in rows if not take]
    head, tail = HEAD, b"\r\n" + body
    content = head + b"".join(line + b"\r\n" for line in given_lines) + tail
    expected = head + b"".join(line + b"\r\n" for line in kept_lines) + tail
    assert _without_received(_prepare(content).content) == expected


# What is refused of the corpus, and why; everything else must pass unchanged.
_REFUSED = {
    "From header cannot be read": 6,
    "line longer": 3,
    "not ASCII": 3,
    "not a header": 2,
    "space before its colon": 1,
    "NUL": 1,
}


def _reason(text: str) -> str:
    known = {
        "is longer than": "line longer",
        "is not a header": "not a header",
        "holds a NUL": "NUL",
    }
    for part, reason in known.items():
        if part in text:
            return reason
    return next((reason for reason in _REFUSED if reason in text), text)


def test_real_messages_pass_unchanged_or_are_refused_in_words():
    reasons: dict[str, int] = {}
    passed = 0
    for path in corpus.files():
        content = corpus.submitted(path)
        try:
            prepared = _prepare(content)
        except Refused as refused:
            reason = _reason(refused.reply.text)
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            passed += 1
            _check_unchanged(path, content, _without_received(prepared.content))
    assert passed > 180
    assert reasons == _REFUSED


def _check_unchanged(path: Path, original: bytes, sent: bytes) -> None:
    """The original, without dropped fields, is what was sent, without the added ones."""
    head, _, body = original.partition(b"\r\n\r\n")
    dropped = re.sub(
        rb"(?im)^(?:bcc|resent-bcc|return-path):.*\r\n(?:[ \t].*\r\n)*", b"", head + b"\r\n"
    )
    added = rb"(?:From: <orders@shop.example.com>\r\n)?"
    added += (
        rb"(?:Date: Mon, 21 Sep 2026 14:13:20 \+0000\r\n)?(?:Message-ID: <\w+@mx.example.com>\r\n)?"
    )
    added += rb"(?:Feedback-ID: :acme:bulk:pillarbox\r\n)?"
    rest = sent.removeprefix(dropped)
    assert rest != sent or not dropped, corpus.name(path)
    found = re.match(added, rest)
    assert found is not None
    assert rest[found.end() :].removeprefix(b"\r\n") == body, corpus.name(path)


def test_a_message_without_from_gets_one_with_its_envelope_sender():
    prepared = _prepare(b"Subject: hello\r\n\r\nhi\r\n")
    assert prepared.header_from_address == "orders@shop.example.com"
    assert b"\r\nFrom: <orders@shop.example.com>\r\n" in prepared.content


def test_a_message_without_from_and_envelope_sender_is_refused():
    with pytest.raises(Refused, match="no From header"):
        _prepare(b"Subject: hello\r\n\r\nhi\r\n", envelope_from="")
