"""Trace: the header fields that the box itself writes into a message.

One Received field on top (RFC 5321 4.4), and Date, Message-ID and Feedback-ID where they are
missing. Everything a client said (HELO name, address, recipient) is checked before it is written:
a HELO that is no name becomes `unknown`, a recipient that the headers cannot carry is left out.
"""

from __future__ import annotations

import re
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from mta.message import Client, RecipientRequest, Submission

_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_UTF8_PROTOCOL: Final = {
    "ESMTP": "UTF8SMTP",
    "ESMTPA": "UTF8SMTPA",
    "ESMTPS": "UTF8SMTPS",
    "ESMTPSA": "UTF8SMTPSA",
}
_WITHOUT_PROTOCOL: Final = frozenset({"", "LOCAL"})  # made in the box: no mail protocol to name
_NOT_FEEDBACK: Final = re.compile(r"[^A-Za-z0-9._-]+")


def received_field(submission: Submission, *, queue_id: str, hostname: str, now_ms: int) -> bytes:
    """The Received field of this hop, folded, ending in CRLF."""
    client = submission.client
    lines = [
        *_from_lines(submission),
        _by_line(client, queue_id, hostname, smtputf8=submission.smtputf8),
    ]
    recipient = _for_clause(submission.recipients, smtputf8=submission.smtputf8)
    lines[-1] += ";" if not recipient else ""
    if recipient:
        lines.append(recipient + ";")
    lines.append(date_text(now_ms // 1000))
    return ("Received: " + "\r\n\t".join(lines) + "\r\n").encode()


def _from_lines(submission: Submission) -> list[str]:
    """Who handed it over; nothing when the credential hides its clients or there was no network."""
    client = submission.client
    if submission.credential.hide_client or client.protocol in _WITHOUT_PROTOCOL:
        return []
    helo = client.helo if _NAME.fullmatch(client.helo) else "unknown"
    lines = [f"from {helo} ([{_address_literal(client.address)}])"]
    if client.tls and client.tls.isascii() and client.tls.isprintable():
        lines.append(f"({client.tls})")
    return lines


def _address_literal(address: str) -> str:
    address = address.removeprefix("::ffff:") if "." in address else address
    if not _NAME.fullmatch(address):
        return "unknown"
    return f"IPv6:{address}" if ":" in address else address


def _by_line(client: Client, queue_id: str, hostname: str, *, smtputf8: bool) -> str:
    if client.protocol in _WITHOUT_PROTOCOL:
        return f"by {hostname} id {queue_id}"
    protocol = _UTF8_PROTOCOL.get(client.protocol, client.protocol) if smtputf8 else client.protocol
    return f"by {hostname} with {protocol} id {queue_id}"


def _for_clause(recipients: tuple[RecipientRequest, ...], *, smtputf8: bool) -> str:
    """Only with a single recipient: several would tell each of them who else got it."""
    if len(recipients) != 1:
        return ""
    address = recipients[0].address
    if not address.isprintable() or not (smtputf8 or address.isascii()):
        return ""
    return f"for <{address}>"


@lru_cache(maxsize=8)
def date_text(seconds: int) -> str:
    """The time as RFC 5322 writes it, in UTC; the same for all messages of a second."""
    return format_datetime(clock.aware(seconds * 1000))


def feedback_id(tags: tuple[str, ...], tenant: str) -> str:
    """`tag:tenant:bulk:pillarbox`: Google's campaign, customer, mail type and sender id."""
    campaign = _feedback_part(tags[0]) if tags else ""
    return f"{campaign}:{_feedback_part(tenant)}:bulk:pillarbox"


def _feedback_part(text: str) -> str:
    return _NOT_FEEDBACK.sub("-", text)[:64]
