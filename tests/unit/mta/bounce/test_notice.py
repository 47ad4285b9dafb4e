from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from flufl.bounce import scan_message
from hypothesis import given
from hypothesis import strategies as st

from mta.bounce.model import Action, NoticeKind
from mta.bounce.notice import (
    MAX_RETURNED,
    ReportedRecipient,
    Reporter,
    wants_notice,
    write_notice,
    write_summary,
)
from mta.bounce.notice_reader import read_notice
from mta.message import Message, ReturnPathMode, Source
from mta.outcome.category import Category
from mta.reply import Reply
from mta.status import TrafficClass

if TYPE_CHECKING:
    from email.message import EmailMessage

NOW = 1_800_000_000_000
REPORTER = Reporter(hostname="mail.example.net", notice_id="0a1b2c3d4e5f6", now=NOW)
CONTENT = (
    b"Message-ID: <orig@example.org>\r\nFrom: s@example.org\r\nSubject: hello\r\n\r\nThe body.\r\n"
)
MESSAGE = Message(
    id=1,
    tenant_id=1,
    credential_id=1,
    source=Source.SMTP,
    traffic_class=TrafficClass.TRANSACTIONAL,
    envelope_from="s@example.org",
    header_from="s@example.org",
    message_id="<orig@example.org>",
    subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    size=len(CONTENT),
    accepted_at=NOW - 3_600_000,
    client="192.0.2.9",
    tags=(),
    metadata="",
    smtputf8=False,
    body_8bit=False,
    ret="",
    envid="QQ314+2B",
    dsn=True,
    return_path_mode=ReturnPathMode.RECIPIENT,
    bounce_domain="bounce.example.org",
    signing_domain="",
)
UNKNOWN = ReportedRecipient(
    address="a@example.com",
    orcpt="rfc822;alias+2Bx@example.com",
    action=Action.FAILED,
    reply=Reply(550, "5.1.1", "<a@example.com>: User unknown"),
    category=Category.USER_UNKNOWN,
    remote_mta="mx.example.com",
    last_attempt_at=NOW,
)
LATE = ReportedRecipient(
    address="b@example.com",
    action=Action.DELAYED,
    reply=Reply(450, "4.2.0", "Greylisted"),
    category=Category.GREYLISTED,
    remote_mta="mx.example.com",
    will_retry_until=NOW + 86_400_000,
)


def _write(*recipients: ReportedRecipient, content: bytes = CONTENT, **changes: object) -> bytes:
    message = replace(MESSAGE, **changes)
    return write_notice(message, recipients, content=content, reporter=REPORTER)


def _parsed(raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert not parsed.defects
    assert not [part.defects for part in parsed.walk() if part.defects]
    return parsed


def _status(raw: bytes) -> list[dict[str, str]]:
    part = _parsed(raw).get_payload(1)
    return [dict(group.items()) for group in part.get_payload()]


def test_a_failure_report_has_three_parts_and_says_who_where_and_why() -> None:
    parsed = _parsed(_write(UNKNOWN))
    assert [part.get_content_type() for part in parsed.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["From"] == "Mail Delivery System <MAILER-DAEMON@mail.example.net>"
    assert parsed["To"] == "s@example.org"
    assert parsed["In-Reply-To"] == "<orig@example.org>"
    text = parsed.get_payload(0).get_content()
    assert "Subject:    Grüße" in text
    assert "The address does not exist at the receiver." in text
    assert "550 5.1.1 <a@example.com>: User unknown" in text
    assert "What to do: Check the address" in text


def test_the_status_fields_are_those_of_the_rfc() -> None:
    about, recipient = _status(_write(UNKNOWN))
    assert about == {
        "Reporting-MTA": "dns; mail.example.net",
        "Original-Envelope-Id": "QQ314+",
        "Arrival-Date": "Fri, 15 Jan 2027 07:00:00 +0000",
    }
    assert recipient == {
        "Original-Recipient": "rfc822; alias+x@example.com",
        "Final-Recipient": "rfc822; a@example.com",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example.com",
        "Diagnostic-Code": "smtp; 550 5.1.1 <a@example.com>: User unknown",
        "Last-Attempt-Date": "Fri, 15 Jan 2027 08:00:00 +0000",
    }


def test_our_own_reader_reads_what_we_write() -> None:
    notice = read_notice(_write(UNKNOWN, LATE))
    assert notice.kind is NoticeKind.BOUNCE
    assert notice.original_message_id == "<orig@example.org>"
    assert notice.envelope_id == "QQ314+"
    assert notice.reporting_mta == "mail.example.net"
    failed, delayed = notice.recipients
    assert (failed.address, failed.action, failed.reply) == (
        "alias+x@example.com",
        Action.FAILED,
        UNKNOWN.reply,
    )
    assert (delayed.address, delayed.action, delayed.reply) == (
        "b@example.com",
        Action.DELAYED,
        LATE.reply,
    )


def test_a_reader_that_others_wrote_finds_the_failed_recipients() -> None:
    second = replace(UNKNOWN, address="c@example.com", orcpt="")
    raw = _write(replace(UNKNOWN, orcpt=""), LATE, second)
    assert scan_message(email.message_from_bytes(raw)) == {b"a@example.com", b"c@example.com"}


@pytest.mark.parametrize(
    ("recipient", "action", "status", "subject"),
    [
        (UNKNOWN, "failed", "5.1.1", "Your message could not be delivered"),
        (LATE, "delayed", "4.2.0", "Your message is delayed"),
        (replace(LATE, action=Action.FAILED, expired=True), "failed", "4.4.7", "Your message could not be delivered"),
        (replace(LATE, action=Action.FAILED), "failed", "5.2.0", "Your message could not be delivered"),
        (replace(UNKNOWN, action=Action.RELAYED, reply=Reply(250, "", "ok")), "relayed", "2.0.0", "Your message was passed on"),
        (replace(UNKNOWN, action=Action.DELIVERED, reply=Reply(250, "2.1.5", "ok")), "delivered", "2.1.5", "Your message was delivered"),
    ],
)  # fmt: skip
def test_action_status_and_subject_agree(
    recipient: ReportedRecipient, action: str, status: str, subject: str
) -> None:
    raw = _write(recipient)
    fields = _status(raw)[1]
    assert (fields["Action"], fields["Status"]) == (action, status)
    assert _parsed(raw)["Subject"] == subject


def test_an_expired_message_says_so_and_the_last_reason() -> None:
    text = _parsed(_write(replace(LATE, action=Action.FAILED, expired=True))).get_payload(0)
    words = " ".join(text.get_content().split())
    assert "It was tried for as long as allowed, without success. The last reason:" in words


def test_a_reply_of_our_own_is_not_put_into_the_remotes_mouth() -> None:
    own = replace(UNKNOWN, remote_mta="", reply=Reply(550, "5.1.2", "no such domain"))
    fields = _status(_write(own))[1]
    assert "Remote-MTA" not in fields
    assert fields["Diagnostic-Code"] == "x-pillarbox; 550 5.1.2 no such domain"


@pytest.mark.parametrize(
    ("ret", "recipient", "size", "kind"),
    [
        ("FULL", UNKNOWN, 100, "message/rfc822"),
        ("HDRS", UNKNOWN, 100, "text/rfc822-headers"),
        ("", UNKNOWN, 100, "text/rfc822-headers"),
        ("FULL", LATE, 100, "text/rfc822-headers"),
        ("FULL", UNKNOWN, MAX_RETURNED + 1, "text/rfc822-headers"),
    ],
)
def test_the_message_comes_back_whole_only_when_asked_for_failed_and_small(
    ret: str, recipient: ReportedRecipient, size: int, kind: str
) -> None:
    content = CONTENT + b"x" * size
    part = list(_parsed(_write(recipient, content=content, ret=ret)).iter_parts())[2]
    assert part.get_content_type() == kind
    assert ("The body." in part.as_string()) == (kind == "message/rfc822")


def test_a_header_without_end_comes_back_cut_at_a_line() -> None:
    content = b"X-Long: y\r\n" * 50_000
    raw = _write(UNKNOWN, content=content)
    assert len(raw) < MAX_RETURNED + 4096
    assert all(line == b"X-Long: y" for line in raw.split(b"\r\n") if b"X-Long" in line)


def test_a_message_that_cannot_be_read_back_still_gets_its_report() -> None:
    assert len(list(_parsed(_write(UNKNOWN, content=b"")).iter_parts())) == 2


def test_international_addresses_use_the_international_form() -> None:
    person = replace(UNKNOWN, address="用户@例.example", orcpt=r"utf-8;\x{7528}@x.example")
    content = "Subject: Grüße\r\n\r\n".encode()
    raw = _write(person, smtputf8=True, content=content)
    parts = [part.get_content_type() for part in _parsed(raw).iter_parts()]
    assert parts == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert "Final-Recipient: utf-8; 用户@例.example".encode() in raw
    (recipient,) = read_notice(raw).recipients
    assert (recipient.final_recipient, recipient.original_recipient) == (
        "用户@例.example",
        "用@x.example",
    )
    assert _parsed(raw)["Content-Transfer-Encoding"] == "8bit"


def test_a_plain_report_stays_ascii_in_its_status_part() -> None:
    raw = _write(
        replace(UNKNOWN, address="用@example.com", reply=Reply(550, "5.1.1", "unbekannt für uns"))
    )
    fields = _status(raw)[1]
    assert fields["Final-Recipient"] == r"utf-8; \x{7528}@example.com"
    assert fields["Diagnostic-Code"] == "smtp; 550 5.1.1 unbekannt f?r uns"


def test_the_sender_cannot_end_a_part_with_a_guessed_boundary() -> None:
    content = f"X: y\r\n--=_{REPORTER.notice_id}.0--\r\n\r\n".encode()
    assert len(list(_parsed(_write(UNKNOWN, content=content)).iter_parts())) == 3


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "a\r\nBcc: x@y.example",
        "x\n\nFinal-Recipient: rfc822; z@y.example",
        "\x00\x85\u2028",
        "+0D+0AX: y",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_nothing_from_outside_starts_a_field_or_part(
    address: str, orcpt: str, said: str, host: str, envid: str, utf8: bool
) -> None:
    person = replace(
        UNKNOWN,
        address=address,
        orcpt=f"rfc822;{orcpt}",
        reply=Reply(550, "", said),
        remote_mta=host,
    )
    changes = {"envelope_from": address, "message_id": orcpt, "subject": said, "envid": envid}
    raw = _write(person, smtputf8=utf8, **changes)
    assert raw.replace(b"\r\n", b"").count(b"\n") == 0
    assert raw.replace(b"\r\n", b"").count(b"\r") == 0
    notice = read_notice(raw)
    assert [recipient.action for recipient in notice.recipients] == [Action.FAILED]
    lines = raw.split(b"\r\n")
    assert [line for line in lines if line.lower().startswith((b"bcc:", b"x:"))] == []
    assert max(map(len, lines)) <= 998


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        ("", {Action.FAILED}),
        ("NEVER", set()),
        ("FAILURE", {Action.FAILED}),
        ("delay,failure", {Action.FAILED, Action.DELAYED}),
        ("SUCCESS", {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
    ],
)
def test_the_sender_hears_of_what_was_asked_for(notify: str, wanted: set[Action]) -> None:
    assert {action for action in Action if wants_notice(notify, action)} == wanted


def test_a_summary_counts_what_was_kept_back() -> None:
    parsed = _parsed(write_summary("s@example.org", 1234, since=NOW, reporter=REPORTER))
    text = " ".join(parsed.get_content().split())
    assert "Since 2027-01-15 08:00 UTC 1234 failure notices were not sent one by one" in text
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["To"] == "s@example.org"
