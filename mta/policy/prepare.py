"""Prepare: the content exactly as it will be sent, and what the box must know of it.

Added: one Received field on top; From, Date, Message-ID and (bulk) Feedback-ID at the end of the header
block where they are missing. Removed: Bcc, Resent-Bcc, Return-Path (RFC 5321 4.4: only final
delivery writes it) and the control headers. Every other byte stays as it was, in its order.

Pure: raises Refused naming the header that is wrong, and does nothing else. The content is joined
once; a 4 KB message with 16 fields takes 11 µs on top of the scan (median of bench/parts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import ids
from mta.policy.address import Address, parse_mailbox
from mta.policy.controls import PREFIX, Controls, read_controls
from mta.policy.display import display_text, plain_text
from mta.policy.headers import MAX_LINE
from mta.policy.originator import originator
from mta.policy.trace import date_text, feedback_id, received_field
from mta.status import TrafficClass

if TYPE_CHECKING:
    from mta.message import Submission
    from mta.policy.headers import HeaderBlock

_DROPPED: Final = frozenset({b"bcc", b"resent-bcc", b"return-path"})
_ONE_CLICK: Final = b"list-unsubscribe=one-click"  # RFC 8058 3.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A message ready to be signed."""

    content: bytes
    header_from_address: str
    header_from_domain: str  # A-labels, lower case
    subject: str  # decoded, bounded, for display
    message_id_header: str  # with its angle brackets
    traffic_class: TrafficClass
    tags: tuple[str, ...]  # the credential's, then the message's
    metadata: str
    send_at: int  # ms; 0 = now
    idempotency_key: str
    pool: str  # egress pool that the message asks for; "" = it does not say
    has_list_unsubscribe: bool
    has_list_unsubscribe_post: bool


def prepare(
    submission: Submission, block: HeaderBlock, *, message_id: int, hostname: str, now_ms: int
) -> Prepared:
    """Read, add and remove the headers of a submission whose block has been scanned."""
    allow_utf8 = submission.smtputf8 or submission.credential.accept_8bit_headers
    author = _author(submission, block, allow_utf8=allow_utf8)
    controls = read_controls(block, now_ms=now_ms)
    traffic_class = _traffic_class(submission, block, controls)
    tags = tuple(dict.fromkeys(submission.credential.tags + controls.tags))
    queue_id = ids.to_text(message_id)
    message_id_header = _message_id(block, default=f"<{queue_id}@{hostname}>")
    received = received_field(submission, queue_id=queue_id, hostname=hostname, now_ms=now_ms)
    missing = _missing(block, author, date_text(now_ms // 1000), message_id_header)
    if traffic_class is TrafficClass.BULK and b"feedback-id" not in block.spans:
        missing += f"Feedback-ID: {feedback_id(tags, submission.tenant.name)}\r\n"
    return Prepared(
        content=_joined(block, received, missing.encode()),
        header_from_address=str(author),
        header_from_domain=author.domain,
        subject=display_text(block.get(b"subject")),
        message_id_header=message_id_header,
        traffic_class=traffic_class,
        tags=tags,
        metadata=controls.metadata,
        send_at=controls.send_at,
        idempotency_key=controls.idempotency_key,
        pool=controls.pool,
        has_list_unsubscribe=bool(block.get(b"list-unsubscribe")),
        has_list_unsubscribe_post=_is_one_click(block),
    )


def _traffic_class(submission: Submission, block: HeaderBlock, controls: Controls) -> TrafficClass:
    """The header, else the credential's default, else what the headers look like (MTA-5)."""
    if controls.traffic_class is not None:
        return controls.traffic_class
    if submission.credential.traffic_class is not None:
        return submission.credential.traffic_class
    if b"list-unsubscribe" in block.spans or b"list-id" in block.spans:
        return TrafficClass.BULK
    is_bulk = (block.get(b"precedence") or b"").lower() == b"bulk"
    return TrafficClass.BULK if is_bulk else TrafficClass.TRANSACTIONAL


def _is_one_click(block: HeaderBlock) -> bool:
    return (block.get(b"list-unsubscribe-post") or b"").replace(b" ", b"").lower() == _ONE_CLICK


def _message_id(block: HeaderBlock, *, default: str) -> str:
    """The client's own, even an empty one: what it sent stays as it is."""
    if b"message-id" not in block.spans:
        return default
    return plain_text(block.get(b"message-id"), limit=MAX_LINE)


def _author(submission: Submission, block: HeaderBlock, *, allow_utf8: bool) -> Address:
    """The From address; a message without the field gets one with the envelope sender.

    So does every MTA that applications were written against. Refused where there is none either.
    """
    if b"from" in block.spans or not submission.envelope_from:
        return originator(block, allow_utf8=allow_utf8)
    return parse_mailbox(submission.envelope_from, smtputf8=allow_utf8)


def _missing(block: HeaderBlock, author: Address, date: str, message_id_header: str) -> str:
    """The fields RFC 5322 3.6 wants in every message (RFC 6409 8.1 and 8.2 let us add them)."""
    date_line = "" if b"date" in block.spans else f"Date: {date}\r\n"
    id_line = "" if b"message-id" in block.spans else f"Message-ID: {message_id_header}\r\n"
    from_line = "" if b"from" in block.spans else f"From: <{author}>\r\n"
    return from_line + date_line + id_line


def _joined(block: HeaderBlock, received: bytes, missing: bytes) -> bytes:
    content, end = block.content, block.end
    if _DROPPED.isdisjoint(block.spans) and not any(
        name.startswith(PREFIX) for name in block.spans
    ):
        if not missing:
            return received + content
        return b"".join((received, content[:end], missing, content[end:]))
    pieces, position = [received], 0
    for name, start, stop in block.fields:
        if name in _DROPPED or name.startswith(PREFIX):
            pieces.append(content[position:start])
            position = stop
    return b"".join((*pieces, content[position:end], missing, content[end:]))
