"""Client text as it may stand in a reply, a log line or a header of ours: printable ASCII, bounded.

A reply line holds 512 octets (RFC 5321 4.5.3.1.5) and control characters in it could forge another
line, so nothing a client sent is echoed without passing here.
"""

from __future__ import annotations


def shown(text: str | bytes, *, limit: int = 60) -> str:
    """The text with `?` for what cannot be shown, cut with dots after `limit` characters."""
    if isinstance(text, bytes):
        text = text[: limit + 1].decode("ascii", "replace")
    head = "".join([char if " " <= char <= "~" else "?" for char in text[:limit]])
    return head if len(text) <= limit else head[:-3] + "..."


def header_name(name: bytes) -> str:
    """A lower-case header name as people write it: b"reply-to" -> "Reply-To"."""
    return _CUSTOMARY.get(name) or shown(name).title()


_CUSTOMARY = {
    b"message-id": "Message-ID",
    b"mime-version": "MIME-Version",
    b"feedback-id": "Feedback-ID",
}
