from __future__ import annotations

import pytest

from mta.bounce import dsn
from mta.bounce.diagnostic import reply_of
from mta.bounce.mime import Fields, parse_fields
from mta.bounce.model import Action, Notice, NoticeKind, NoticeRecipient
from mta.bounce.notice_reader import read_notice
from mta.reply import Reply
from tests.unit.mta.bounce.work import calls

RETURNED = "Message-ID: <orig@example.org>\r\nTo: a@example.com\r\nSubject: hello\r\n"


def _report(
    status: str, *, kind: str = "message/delivery-status", returned: str = RETURNED
) -> bytes:
    text = (
        "From: MAILER-DAEMON@mx.example.com\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        f"--b\r\nContent-Type: {kind}\r\n\r\n{status}\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
    return text.encode()


ONE = (
    "Reporting-MTA: dns; MX.example.com\r\nOriginal-Envelope-Id: QQ+2B1\r\n\r\n"
    "Original-Recipient: rfc822;a@example.com\r\nFinal-Recipient: RFC822; <a@box.example.com>\r\n"
    "Action: failed\r\nStatus: 5.0.0\r\nRemote-MTA: dns; mx2.example.com (192.0.2.1)\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1\r\n <a@box.example.com>... User unknown\r\n"
)


def test_a_report_is_read_whole() -> None:
    assert read_notice(_report(ONE)) == Notice(
        kind=NoticeKind.BOUNCE,
        recipients=(
            NoticeRecipient(
                final_recipient="a@box.example.com",
                original_recipient="a@example.com",
                action=Action.FAILED,
                reply=Reply(550, "5.1.1", "<a@box.example.com>... User unknown"),
                remote_mta="mx2.example.com",
            ),
        ),
        original_message_id="<orig@example.org>",
        envelope_id="QQ+1",
        reporting_mta="mx.example.com",
    )


def _said(notice: Notice) -> list[tuple[str, str]]:
    return [(r.address, r.action.value) for r in notice.recipients]


def _group(address: str, action: str, status: str) -> str:
    return f"Final-Recipient: rfc822;{address}\r\nAction: {action}\r\nStatus: {status}\r\n"


A, B = _group("a@example.com", "failed", "5.1.1"), _group("b@example.com", "delayed", "4.4.1")


@pytest.mark.parametrize(
    "status",
    [
        f"Reporting-MTA: dns; x\r\n\r\n{A}\r\n{B}",
        f"Reporting-MTA: dns; x\r\n{A}\r\n{B}",
        f"Reporting-MTA: dns; x\r\n\r\n{A}{B}",
        f"\r\n\r\n{A}\r\n \t\r\n\r\n{B}",
        f"{A}\r\n{B}".replace("\r\nStatus", "\r\n\r\nStatus"),
        f"{A}\r\n{B}".upper().replace("EXAMPLE.COM", "example.com").replace(";A@", ";a@").replace(";B@", ";b@"),
        f"{A}\r\n{B}".replace("\r\n", "\n"),
    ],
    ids=["as-written", "no-blank-first", "run-together", "many-blanks", "torn-apart", "capitals", "lf"],
)  # fmt: skip
def test_each_recipient_is_told_apart(status: str) -> None:
    notice = read_notice(_report(status))
    assert _said(notice) == [("a@example.com", "failed"), ("b@example.com", "delayed")]
    assert [r.reply.enhanced for r in notice.recipients] == ["5.1.1", "4.4.1"]
    assert notice.kind is NoticeKind.BOUNCE


@pytest.mark.parametrize(
    ("action", "status", "kind"),
    [
        ("failed (user unknown)", "5.1.1", NoticeKind.BOUNCE),
        ("Delayed", "4.4.1", NoticeKind.DELAYED),
        ("delivered", "2.1.5", NoticeKind.DELIVERED),
        ("deliverable", "2.1.5", NoticeKind.DELIVERED),
        ("relayed", "2.0.0", NoticeKind.RELAYED),
        ("expanded", "2.0.0", NoticeKind.RELAYED),
        ("", "5.1.1", NoticeKind.BOUNCE),
        ("", "4.4.1", NoticeKind.DELAYED),
        ("", "", NoticeKind.BOUNCE),
        ("whatever", "2.0.0", NoticeKind.DELIVERED),
    ],
)
def test_the_action_makes_the_kind(action: str, status: str, kind: NoticeKind) -> None:
    field = f"Action: {action}\r\n" if action else ""
    text = f"Final-Recipient: rfc822;a@example.com\r\n{field}Status: {status}\r\n"
    assert read_notice(_report(text)).kind is kind


@pytest.mark.parametrize(
    "kind",
    [
        "Message/Delivery-Status; charset=UFT-8",
        "message/global-delivery-status",
        "message/delivery-status\r\nContent-Transfer-Encoding: base64",
        "text/plain",
    ],
)
def test_the_status_part_is_found_under_every_type_met(kind: str) -> None:
    status = ONE
    if kind.endswith("base64"):
        import base64

        status = base64.encodebytes(ONE.encode()).decode()
    assert _said(read_notice(_report(status, kind=kind))) == [("a@example.com", "failed")]


def test_status_fields_in_a_persons_mail_are_not_believed() -> None:
    raw = b"From: Ann <ann@example.com>\r\nSubject: look at this\r\n\r\n" + ONE.encode()
    assert read_notice(raw).kind is NoticeKind.UNKNOWN


def test_status_fields_in_the_message_that_came_back_are_not_believed() -> None:
    returned = (
        "From: MAILER-DAEMON@mx.example.com\r\n"
        "Content-Type: multipart/report; boundary=in\r\n\r\n"
        f"--in\r\nContent-Type: message/delivery-status\r\n\r\n{ONE}\r\n--in--\r\n"
    )
    raw = (
        "From: Ann <ann@example.com>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{returned}\r\n--b--\r\n"
    )
    assert read_notice(raw.encode()).recipients == ()


def test_a_report_that_names_a_pipe_means_the_addressee() -> None:
    status = "Final-Recipient: rfc822; |/usr/bin/filter\r\nAction: failed\r\nStatus: 5.3.0\r\n"
    (recipient,) = read_notice(_report(status)).recipients
    assert recipient.address == "a@example.com"


def test_a_report_that_names_nobody_leaves_the_recipient_open() -> None:
    status = "Final-Recipient: rfc822; |/usr/bin/filter\r\nAction: failed\r\nStatus: 5.3.0\r\n"
    returned = "To: a@example.com, b@example.com\r\n"
    (recipient,) = read_notice(_report(status, returned=returned)).recipients
    assert recipient.address == ""


def test_recipients_are_bounded() -> None:
    notice = read_notice(_report("\r\n".join([A] * 3000)))
    assert len(notice.recipients) <= 1000


def _of_lines(line: str, count: int) -> bytes:
    """Status fields in groups of 500, so that all of them are looked at."""
    lines = [f"{line}\r\n"] * count
    groups = ["".join(lines[n : n + 500]) for n in range(0, count, 500)]
    return _report("\r\n".join(groups))


@pytest.mark.parametrize(
    "line",
    [
        "Action: failed",
        "Status: 5.1.1",
        "Final-Recipient: rfc822; a@example.com",
        "Original-Recipient: rfc822; a@example.com\r\nDiagnostic-Code: smtp; 550 no",
        "X-Other: 1",
    ],
)
def test_a_report_of_very_many_fields_is_read_in_linear_time(line: str) -> None:
    once, twice = _of_lines(line, 1000), _of_lines(line, 2000)
    assert calls(lambda: read_notice(twice)) < 3 * calls(lambda: read_notice(once))


def test_what_lies_beyond_the_last_field_that_is_looked_at_is_not_even_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[int] = []

    def counted(block: bytes) -> Fields:
        fields = parse_fields(block)
        parsed.append(len(fields.items))
        return fields

    monkeypatch.setattr(dsn, "parse_fields", counted)
    read_notice(_of_lines("Action: failed", 100_000))
    assert sum(parsed) < dsn.MAX_FIELDS_IN_ALL + 1000


def test_of_one_recipient_only_so_many_fields_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def counted(diagnostics: list[str], status: str, action: Action) -> Reply:
        told.append(len(diagnostics))
        return reply_of(diagnostics, status, action)

    monkeypatch.setattr(dsn, "reply_of", counted)
    many = "Diagnostic-Code: smtp; 550 5.1.1 no\r\n" * 900
    (recipient,) = read_notice(_report(f"{many}\r\n{many}\r\n{A}")).recipients
    assert recipient.address == "a@example.com"  # however late its first field comes
    assert recipient.reply == Reply(550, "5.1.1", "no")
    assert told == [dsn.MAX_FIELDS]


def test_a_report_names_at_most_a_thousand() -> None:
    groups = "\r\n".join(_group(f"u{n}@example.com", "failed", "5.1.1") for n in range(1500))
    assert len(read_notice(_report(groups)).recipients) == dsn.MAX_RECIPIENTS
