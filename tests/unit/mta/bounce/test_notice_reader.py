from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.bounce.model import NoticeKind
from mta.bounce.notice_reader import read_notice


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("From: ann@example.com\nAuto-Submitted: auto-replied (vacation)", NoticeKind.AUTOREPLY),
        ("From: ann@example.com\nX-Autoreply: yes", NoticeKind.AUTOREPLY),
        ("From: ann@example.com\nPrecedence: auto_reply", NoticeKind.AUTOREPLY),
        ("From: ann@example.com\nSubject: Out of Office: back on Monday", NoticeKind.AUTOREPLY),
        ("From: ann@example.com\nSubject: Automatic reply: hello", NoticeKind.AUTOREPLY),
        ("From: ann@example.com\nAuto-Submitted: no\nSubject: hello", NoticeKind.UNKNOWN),
        ("From: ann@example.com\nSubject: Re: hello", NoticeKind.UNKNOWN),
        ("From: MAILER-DAEMON@example.com\nAuto-Submitted: auto-replied", NoticeKind.UNKNOWN),
        ("From: a@b.example\nX-Failed-Recipients: c@d.example\nAuto-Submitted: auto-replied", NoticeKind.UNKNOWN),
        ("From: a@b.example\nContent-Type: multipart/report; boundary=x\nAuto-Submitted: auto-replied", NoticeKind.UNKNOWN),
        ("", NoticeKind.UNKNOWN),
    ],
)  # fmt: skip
def test_automatic_replies_are_told_from_unread_bounces(header: str, kind: NoticeKind) -> None:
    notice = read_notice(f"{header}\n\nI am away.\n".encode())
    assert notice.kind is kind
    assert notice.recipients == ()


def test_an_automatic_reply_says_which_message_it_answers() -> None:
    raw = (
        b"From: a@b.example\nAuto-Submitted: auto-replied\nIn-Reply-To: <orig@example.org>\n\nAway."
    )
    assert read_notice(raw).original_message_id == "<orig@example.org>"


WRAPPED = (
    b"From: postmaster@filter.example\nContent-Type: multipart/mixed; boundary=o\n\n"
    b"--o\n\nscanned\n--o\nContent-Type: message/rfc822\n\n"
    b"From: %s\nContent-Type: multipart/report; boundary=i\n\n--i\n"
    b"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822;a@example.com\n"
    b"Action: failed\nStatus: 5.1.1\n--i--\n--o--\n"
)


def test_a_report_wrapped_by_a_content_filter_is_unwrapped_once() -> None:
    assert read_notice(WRAPPED % b"MAILER-DAEMON@mx.example").kind is NoticeKind.BOUNCE
    assert read_notice(WRAPPED % b"ann@example.com").kind is NoticeKind.UNKNOWN


_LINES = st.sampled_from(
    [
        b"", b"--b", b"--b--", b"--i", b"--i--", b"From: MAILER-DAEMON@x", b"Return-Path: <>",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
        b"Content-Type: multipart/mixed; boundary=i", b"Content-Type: message/delivery-status",
        b"Content-Type: message/feedback-report", b"Content-Type: message/rfc822",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable",
        b"Final-Recipient: rfc822; a@example.com", b"Original-Recipient: utf-8; \\x{110000}",
        b"Action: failed", b"Action: relayed", b"Status: 5.1.1", b"Status: 4", b" folded",
        b"Diagnostic-Code: smtp; 550-5.1.1 x 550 5.1.1 y", b"Diagnostic-Code: \xff\xfe; \x00",
        b"Feedback-Type: abuse", b"Original-Rcpt-To: <>", b"Message-ID: <", b"Reporting-MTA:",
    ]
)  # fmt: skip


@given(
    st.lists(_LINES | st.binary(max_size=40), max_size=60), st.sampled_from([b"\n", b"\r\n", b"\r"])
)
def test_pieces_of_notices_in_any_order_never_raise(lines: list[bytes], end: bytes) -> None:
    read_notice(end.join(lines))


@given(st.binary(max_size=3000))
def test_garbage_never_raises(raw: bytes) -> None:
    assert read_notice(raw).recipients == ()


BIG = 3 << 20
HEAD = b"From: MAILER-DAEMON@x\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Final-Recipient: rfc822;a@b\n\n" * (BIG // 30),
        HEAD + b"Final-Recipient: rfc822;a@b\n" * (BIG // 30),
        HEAD + b"Final-Recipient: rfc822;" + b"<" * BIG,
        HEAD + b"Final-Recipient: rfc822;a@b\nDiagnostic-Code: " + b"5" * BIG,
        HEAD + b"\n " * (BIG // 2),
        HEAD + b"Original-Recipient: rfc822;" + b"+2B" * (BIG // 3),
        b"From: " + b"mailer" * (BIG // 6) + b"\nSubject: " + b" " * 100_000,
        b"X-Apple-Unsubscribe: true\nFrom: " + b"a" * BIG,
        b"Return-Path: <>\n\n" + b"Reporting-MTA:\n" * (BIG // 15),
        b"In-Reply-To: " + b"<" * BIG,
        HEAD
        + b"Final-Recipient: rfc822;|x\n--b\nContent-Type: message/rfc822\n\nTo: "
        + b"a" * BIG,
    ],
    ids=range(11),
)
def test_megabytes_of_almost_a_notice_take_bounded_time(raw: bytes) -> None:
    start = time.process_time()
    read_notice(raw)
    assert time.process_time() - start < 2
