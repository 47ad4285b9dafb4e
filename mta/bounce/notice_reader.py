"""The one door for what comes back: raw bytes in, a Notice out.

Order: complaint, delivery status report, automatic reply. What none of them knows is `unknown`: the
caller keeps it, changes nothing, and may read it again when more rules stand. Never raises, takes
bounded time and memory whatever it is given, and never lets an automatic reply look like a failure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mta.bounce.arf import read_complaint
from mta.bounce.dsn import message_id_of, read_dsn, returned_fields
from mta.bounce.mime import parse
from mta.bounce.model import Notice, NoticeKind

if TYPE_CHECKING:
    from mta.bounce.mime import Document, Fields

_MAILER: Final = re.compile(
    r"mailer-?daemon|postmaster|mail delivery (?:sub)?system|double-bounce", re.I
)
_AUTOMATIC_SUBJECT: Final = re.compile(
    r"^\s*(?:out of (?:the )?office|auto(?:matic)?[- ]?(?:reply|response)|abwesenheits?(?:notiz|nachricht)"
    r"|r[eé]ponse automatique|respuesta autom[aá]tica|on vacation|vacation reply)",
    re.I,
)
_AUTOMATIC_FIELDS: Final = ("x-autoreply", "x-autorespond", "x-auto-reply", "x-autoresponse")


def read_notice(raw: bytes) -> Notice:
    """Read what came back to one of our addresses."""
    document = parse(raw)
    return read_complaint(document) or _read_report(document) or _other(document)


def _read_report(document: Document) -> Notice | None:
    """A report, also when a content filter on the way has wrapped it into a notice of its own."""
    is_from_mailer = _is_from_mailer(document)
    notice = read_dsn(document, trust_text=is_from_mailer)
    if notice is not None or not is_from_mailer:
        return notice
    wrapped = next((p for p in document.parts if p.content_type == "message/rfc822"), None)
    if wrapped is None:
        return None
    inner = parse(wrapped.content().lstrip(b"\r\n"))
    # Ours came back when it is not a mail system's own report: never read those.
    is_report = inner.content_type == "multipart/report" and _MAILER.search(
        inner.fields.get("from")
    )
    return read_dsn(inner, trust_text=False) if is_report else None


def _is_from_mailer(document: Document) -> bool:
    """Whether a mail system wrote it: only then are status fields in plain text believed."""
    fields = document.fields
    return (
        document.content_type == "multipart/report"
        or "x-failed-recipients" in fields
        or fields.get("return-path").strip() == "<>"
        or _MAILER.search(fields.get("from")) is not None
    )


def _other(document: Document) -> Notice:
    kind = NoticeKind.AUTOREPLY if _is_automatic(document) else NoticeKind.UNKNOWN
    return Notice(kind=kind, original_message_id=_answered_id(document))


def _is_automatic(document: Document) -> bool:
    """RFC 3834, and what people's mail programs did before it.

    A mailer daemon's notice may carry Auto-Submitted too; unread, that one is unknown, not a reply.
    """
    fields = document.fields
    if document.content_type == "multipart/report" or "x-failed-recipients" in fields:
        return False
    if _MAILER.search(fields.get("from")):
        return False
    submitted = fields.get("auto-submitted").split(";")[0].strip().lower()
    return (
        submitted.startswith(("auto-replied", "auto-generated", "auto-notified"))
        or any(name in fields for name in _AUTOMATIC_FIELDS)
        or fields.get("precedence").strip().lower() in ("auto_reply", "auto-reply")
        or _AUTOMATIC_SUBJECT.match(fields.get("subject")) is not None
    )


def _answered_id(document: Document) -> str:
    """The message it answers: the returned one, else the one it replies to."""
    return message_id_of(returned_fields(document)) or _in_reply_to(document.fields)


def _in_reply_to(fields: Fields) -> str:
    match = re.search(r"<[^<>\s]{1,998}>", fields.get("in-reply-to"))
    return match.group() if match else ""
