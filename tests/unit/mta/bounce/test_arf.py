from __future__ import annotations

import pytest

from mta.bounce.model import Feedback, Notice, NoticeKind
from mta.bounce.notice_reader import read_notice

TOKEN = "baaaa5n42fiaaaaaafrcuvov3a3rg2t52o@bounce.example.com"


def _report(
    fields: str, returned: str = "Message-ID: <orig@example.org>\r\nTo: x@y.example\r\n"
) -> bytes:
    text = (
        "From: feedback@isp.example\r\nContent-Type: multipart/report;"
        ' report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\n\r\nA complaint.\r\n"
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\n{fields}\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{returned}\r\nbody\r\n--b--\r\n"
    )
    return text.encode()


def _feedback(raw: bytes) -> Feedback:
    notice = read_notice(raw)
    assert notice.kind is NoticeKind.COMPLAINT
    assert notice.feedback is not None
    return notice.feedback


def test_a_feedback_report_is_read_whole() -> None:
    raw = _report(
        "Feedback-Type: Abuse\r\nUser-Agent: SomeFBL/1.0\r\nVersion: 1\r\n"
        f"Original-Mail-From: <{TOKEN}>\r\nOriginal-Rcpt-To: <a@isp.example>\r\n"
        "Original-Rcpt-To: <b@isp.example>\r\nReported-Domain: Example.com\r\nSource-IP: 192.0.2.1\r\n"
    )
    assert read_notice(raw) == Notice(
        kind=NoticeKind.COMPLAINT,
        original_message_id="<orig@example.org>",
        feedback=Feedback(
            type="abuse",
            recipients=("a@isp.example", "b@isp.example"),
            original_mail_from=TOKEN,
            reported_domain="example.com",
            source_ip="192.0.2.1",
            user_agent="SomeFBL/1.0",
        ),
    )


@pytest.mark.parametrize("value", ["redacted", "redacted@", "<>", "hidden"])
def test_what_is_no_address_is_no_recipient(value: str) -> None:
    raw = _report(
        f"Feedback-Type: abuse\r\nOriginal-Rcpt-To: {value}\r\n", "To: a@b.example, c@d.example\r\n"
    )
    assert _feedback(raw).recipients == ()


def test_without_a_named_recipient_the_only_addressee_is_meant() -> None:
    assert _feedback(_report("Feedback-Type: abuse\r\n")).recipients == ("x@y.example",)
    several = "To: x@y.example\r\nCc: z@y.example\r\n"
    assert _feedback(_report("Feedback-Type: abuse\r\n", several)).recipients == ()


def test_the_return_path_of_the_returned_message_stands_in_for_a_missing_field() -> None:
    returned = f"Return-Path: <{TOKEN}>\r\nTo: redacted\r\n"
    assert _feedback(_report("Feedback-Type: abuse\r\n", returned)).original_mail_from == TOKEN


@pytest.mark.parametrize(
    ("type_", "unwanted"),
    [("abuse", True), ("fraud", True), ("opt-out", True), ("other", True), ("not-spam", False), ("auth-failure", False)],
)  # fmt: skip
def test_only_complaints_count_as_unwanted(type_: str, unwanted: bool) -> None:
    assert _feedback(_report(f"Feedback-Type: {type_}\r\n")).is_unwanted == unwanted


def test_blank_lines_between_the_fields_lose_none() -> None:
    raw = _report("\r\nFeedback-Type: fraud\r\n\r\nOriginal-Rcpt-To: a@isp.example\r\n")
    assert (_feedback(raw).type, _feedback(raw).recipients) == ("fraud", ("a@isp.example",))


def test_microsofts_reports_are_the_message_alone() -> None:
    raw = (
        b"From: staff@hotmail.com\r\nSubject: complaint about message from 192.0.2.222\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"X-HmXmrOriginalRecipient: <a@hotmail.com>\r\nMessage-ID: <orig@example.org>\r\n\r\nx\r\n--b--\r\n"
    )
    feedback = _feedback(raw)
    assert feedback.recipients == ("a@hotmail.com",)
    assert feedback.source_ip == "192.0.2.222"


def test_apples_unsubscribe_button_is_an_opt_out() -> None:
    raw = b"From: Ann <ann@icloud.com>\r\nX-Apple-Unsubscribe: true\r\nAuto-Submitted: auto-replied\r\n\r\n"
    assert (_feedback(raw).type, _feedback(raw).recipients) == ("opt-out", ("ann@icloud.com",))
