"""Notice: the box's own reports to a sender; pure, and read back by our own reader in its tests.

One report tells of several recipients of one message, whatever happened to each: RFC 6522
multipart/report of RFC 3464 status fields, in RFC 6533's form for messages with SMTPUTF8. The
subject and words follow from the gravest action. RET and ENVID and ORCPT (RFC 3461) are honoured: the
whole message comes back only when it was asked for, something failed, and it is small.

The caller sends it with the null sender, never in answer to `<>`, and asks `wants_notice` first.
Nothing from outside (replies, ENVID, addresses) can start a line or a part of its own: control
characters are taken out, lines are folded, the boundary is one that the message does not hold.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.bounce import notice_words
from mta.bounce.model import Action
from mta.bounce.typed_address import decode_xtext, typed
from mta.outcome.category import Category

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mta.message import Message
    from mta.reply import Reply

MAX_RETURNED: Final = 64 << 10
"""Octets of a message that are returned whole; of a larger one, only the header."""

_MAX_VALUE: Final = 900  # octets of a field; a line ends at 998 (RFC 5322 2.1.1)
_EXPIRED: Final = "4.4.7"  # RFC 3463: delivery time expired
_ASKED: Final = {
    Action.FAILED: "FAILURE",
    Action.DELAYED: "DELAY",
    Action.DELIVERED: "SUCCESS",
    Action.RELAYED: "SUCCESS",
    Action.EXPANDED: "SUCCESS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """One recipient to tell of."""

    address: str
    orcpt: str = ""  # as given with RCPT: "rfc822;user+2Btag@example.com"
    action: Action
    reply: Reply
    category: Category = Category.OTHER
    reason: str = ""  # a sentence; "" = the category's
    expired: bool = False  # failed because its time was over, not because it was refused
    remote_mta: str = ""  # host that answered; "" = the reply is our own
    last_attempt_at: int = 0
    will_retry_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """The box as it signs its reports. `notice_id` is unique: it makes Message-ID and boundary."""

    hostname: str
    notice_id: str
    now: int


def wants_notice(notify: str, action: Action) -> bool:
    """Whether the sender wants to hear of it (RFC 3461 section 4.1); without NOTIFY, of failures."""
    if not notify:
        return action is Action.FAILED
    return _ASKED[action] in notify.upper().split(",")


def write_notice(
    message: Message,
    recipients: Sequence[ReportedRecipient],
    *,
    content: bytes,
    reporter: Reporter,
) -> bytes:
    """The report as it is sent, CRLF line ends. `content` b"" when the message cannot be read."""
    utf8 = message.smtputf8
    parts = [
        _text_part(notice_words.report(message, recipients, reporter.hostname)),
        _status_part(message, recipients, reporter, utf8=utf8),
    ]
    if content:
        parts.append(_returned_part(message, recipients, content, utf8=utf8))
    boundary = _boundary(parts, reporter)
    fields = [
        *_header(message.envelope_from, notice_words.subject(recipients), reporter),
        *_references(message),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    ]
    if any(max(part, default=0) > 127 for part in parts):
        fields.append("Content-Transfer-Encoding: 8bit")
    delimiter = f"--{boundary}".encode()
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return _block(fields) + b"\r\n" + body + delimiter + b"--\r\n"


def write_summary(to: str, count: int, *, since: int, reporter: Reporter) -> bytes:
    """One message instead of `count` reports that were kept back (MTA-11)."""
    fields = [
        *_header(to, notice_words.SUMMARY_SUBJECT, reporter),
        "MIME-Version: 1.0",
    ]
    text = notice_words.summary(count, clock.aware(since), reporter.hostname)
    return _block(fields) + _text_part(text)


def _header(to: str, subject: str, reporter: Reporter) -> list[str]:
    return [
        f"From: Mail Delivery System <MAILER-DAEMON@{reporter.hostname}>",
        _field("To", f"<{_clean(to, utf8=True)}>"),
        f"Subject: {subject}",
        f"Date: {_date(reporter.now)}",
        f"Message-ID: <{reporter.notice_id}@{reporter.hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834: no machine shall answer this
    ]


def _references(message: Message) -> list[str]:
    """Thread it with the message it is about, where that has a usable Message-ID."""
    if not re.fullmatch(r"<[!-;=?-~]{1,250}>", message.message_id):
        return []
    return [f"In-Reply-To: {message.message_id}", f"References: {message.message_id}"]


def _text_part(text: str) -> bytes:
    lines = text.splitlines()
    encoding = "7bit" if text.isascii() else "8bit"
    fields = ["Content-Type: text/plain; charset=utf-8", f"Content-Transfer-Encoding: {encoding}"]
    return _block(fields) + b"\r\n" + _block(lines)


def _status_part(
    message: Message, recipients: Iterable[ReportedRecipient], reporter: Reporter, *, utf8: bool
) -> bytes:
    about = [
        f"Reporting-MTA: dns; {reporter.hostname}",
        *_optional("Original-Envelope-Id", _clean(decode_xtext(message.envid), utf8=False)),
        f"Arrival-Date: {_date(message.accepted_at)}",
    ]
    groups = [about, *(_recipient_fields(recipient, utf8=utf8) for recipient in recipients)]
    kind = "message/global-delivery-status" if utf8 else "message/delivery-status"
    return b"\r\n".join([_block([f"Content-Type: {kind}"]), *map(_block, groups)])


def _recipient_fields(recipient: ReportedRecipient, *, utf8: bool) -> list[str]:
    said_by = "smtp" if recipient.remote_mta else "x-pillarbox"
    address = typed(_clean(recipient.address, utf8=True), utf8=utf8)
    return [
        *_optional("Original-Recipient", _original(recipient.orcpt, utf8=utf8)),
        _field("Final-Recipient", address),
        f"Action: {recipient.action}",
        f"Status: {_status(recipient)}",
        *_optional("Remote-MTA", _clean(recipient.remote_mta, utf8=False), "dns; "),
        *_optional("Diagnostic-Code", _clean(recipient.reply.line(), utf8=utf8), f"{said_by}; "),
        *_optional_date("Last-Attempt-Date", recipient.last_attempt_at),
        *_optional_date("Will-Retry-Until", recipient.will_retry_until),
    ]


def _status(recipient: ReportedRecipient) -> str:
    """RFC 3464 2.3.4: its class agrees with the action."""
    if recipient.action is Action.FAILED and recipient.expired:
        return _EXPIRED
    wanted = {Action.FAILED: "5", Action.DELAYED: "4"}.get(recipient.action, "2")
    return wanted + recipient.reply.status[1:]


def _original(orcpt: str, *, utf8: bool) -> str:
    kind, semicolon, address = orcpt.partition(";")
    if not semicolon or not re.fullmatch(r"[A-Za-z0-9-]{1,20}", kind):
        return ""
    if kind.lower() == "utf-8":  # RFC 6533 section 3: keeps its own encoding
        return f"utf-8; {_clean(address, utf8=utf8)}"
    return f"{kind.lower()}; {_clean(decode_xtext(address), utf8=utf8)}"


def _returned_part(
    message: Message, recipients: Iterable[ReportedRecipient], content: bytes, *, utf8: bool
) -> bytes:
    """RFC 3461 section 6.2: the whole message only for failures, and only when it was asked for."""
    failed = any(recipient.action is Action.FAILED for recipient in recipients)
    if failed and message.ret.upper() == "FULL" and len(content) <= MAX_RETURNED:
        kind = "message/global" if utf8 else "message/rfc822"
    else:
        kind = "message/global-headers" if utf8 else "text/rfc822-headers"
        content = _header_of(content)
    encoding = "7bit" if content.isascii() else "8bit"
    fields = [f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}"]
    return _block(fields) + b"\r\n" + content


def _header_of(content: bytes) -> bytes:
    header, blank, _ = content[: MAX_RETURNED + 1].partition(b"\r\n\r\n")
    return (header if blank else header.rpartition(b"\r\n")[0]) + b"\r\n"


def _boundary(parts: Sequence[bytes], reporter: Reporter) -> str:
    """A line that stands in no part; a sender may have put the first guess there."""
    number = 0
    while any(f"=_{reporter.notice_id}.{number}".encode() in part for part in parts):
        number += 1
    return f"=_{reporter.notice_id}.{number}"


def _optional(name: str, value: str, prefix: str = "") -> list[str]:
    return [_field(name, prefix + value)] if value else []


def _optional_date(name: str, at: int) -> list[str]:
    return [f"{name}: {_date(at)}"] if at else []


def _field(name: str, value: str) -> str:
    """Folded at spaces (RFC 5322 2.2.3); a value of one long word stays one line."""
    value = value.encode("utf-8", "replace")[:_MAX_VALUE].decode("utf-8", "ignore")
    lines = textwrap.wrap(
        f"{name}: {value}",
        width=78,
        subsequent_indent=" ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\r\n".join(lines)


def _clean(value: str, *, utf8: bool) -> str:
    """No controls and no line ends; beyond ASCII only where the report may hold it."""
    printable = "".join(c if c.isprintable() else " " for c in value)
    return " ".join(printable.split()) if utf8 else _ascii(" ".join(printable.split()))


def _ascii(value: str) -> str:
    return value.encode("ascii", "replace").decode()


def _date(at: int) -> str:
    return format_datetime(clock.aware(at))


def _block(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
