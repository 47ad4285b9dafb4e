"""Reading a complaint: RFC 5965 feedback reports, and the two shapes that come beside them.

Microsoft's JMRP sends the message that was complained of, alone, with the recipient in a field of
its own. Apple's Mail sends an "unsubscribe" message for its button; that is an opt-out.

Recipients are often redacted ("redacted", "redacted@", a hash before the @): what is no address is
left out, what looks like one is passed on, so the caller acts only on addresses that the message
really had. Then the return path (Original-Mail-From) or the Message-ID of the returned message
tells which it was. Never raises; returns None when it is no complaint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mta.bounce.dsn import message_id_of, returned_fields, sole_addressee
from mta.bounce.mime import parse_fields
from mta.bounce.model import Feedback, Notice, NoticeKind

if TYPE_CHECKING:
    from mta.bounce.mime import Document, Fields

MAX_RECIPIENTS: Final = 100

_RECIPIENT_FIELDS: Final = ("original-rcpt-to", "removal-recipient")
_MICROSOFT_RECIPIENT: Final = "x-hmxmroriginalrecipient"
_ADDRESS: Final = re.compile(r"[^\s<>@,;:\"]{1,64}@[^\s<>@,;:\"]{1,255}")


def read_complaint(document: Document) -> Notice | None:
    """The complaint in a message, if it is one."""
    returned = returned_fields(document)
    feedback = _report(document, returned) or _microsoft(document, returned) or _apple(document)
    if feedback is None:
        return None
    return Notice(
        kind=NoticeKind.COMPLAINT,
        original_message_id=message_id_of(returned),
        feedback=feedback,
    )


def _report(document: Document, returned: Fields) -> Feedback | None:
    part = next((p for p in document.parts if p.content_type == "message/feedback-report"), None)
    if part is None:
        return None
    fields = parse_fields(re.sub(rb"\n[ \t]*\r?(?=\n)", b"", part.content().lstrip()))
    return Feedback(
        type=(fields.get("feedback-type") or "abuse").split(";")[0].strip().lower(),
        recipients=_recipients(fields, returned),
        original_mail_from=_address(fields.get("original-mail-from"))
        or _address(returned.get("return-path")),
        reported_domain=fields.get("reported-domain").strip().lower(),
        source_ip=fields.get("source-ip").strip(),
        user_agent=fields.get("user-agent"),
    )


def _microsoft(document: Document, returned: Fields) -> Feedback | None:
    """Junk Mail Reporting Programme: only the message itself, the recipient in its first field."""
    if _MICROSOFT_RECIPIENT not in returned:
        return None
    source = re.search(r"message from (\S+)", document.fields.get("subject"))
    return Feedback(
        type="abuse",
        recipients=tuple(_wanted([returned.get(_MICROSOFT_RECIPIENT)])),
        original_mail_from=_address(returned.get("return-path")),
        source_ip=source.group(1) if source else returned.get("x-originating-ip").strip("[]"),
        user_agent="Microsoft JMRP",
    )


def _apple(document: Document) -> Feedback | None:
    if document.fields.get("x-apple-unsubscribe").lower() != "true":
        return None
    return Feedback(type="opt-out", recipients=tuple(_wanted([document.fields.get("from")])))


def _recipients(fields: Fields, returned: Fields) -> tuple[str, ...]:
    """The named ones; without any, the returned message's own, if it went to one address only."""
    named = [value for name in _RECIPIENT_FIELDS for value in fields.all(name)]
    found = _wanted([*named, returned.get(_MICROSOFT_RECIPIENT)])
    if not found:
        found = _wanted([sole_addressee(returned)])
    return tuple(dict.fromkeys(found))[:MAX_RECIPIENTS]


def _wanted(values: list[str]) -> list[str]:
    addresses = [_address(value) for value in values]
    return [address for address in addresses if address]


def _address(value: str) -> str:
    match = _ADDRESS.search(value)
    return match.group() if match else ""
