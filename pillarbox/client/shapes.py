"""Shapes of what goes to the box and comes back."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec


class Mailbox(TypedDict, total=False):
    """An address with a name."""

    email: str
    name: str


class Attachment(TypedDict, total=False):
    """A file; `content` is base64."""

    filename: str
    content: str
    content_type: str
    content_id: str


Letter = TypedDict(
    "Letter",
    {
        "from": str | Mailbox,
        "to": list[str | Mailbox],
        "cc": list[str | Mailbox],
        "bcc": list[str | Mailbox],
        "reply_to": list[str | Mailbox],
        "subject": str,
        "text": str,
        "html": str,
        "attachments": list[Attachment],
        "headers": dict[str, str],
        "tags": list[str],
        "metadata": dict[str, Any],
        "class": str,
        "pool": str,
        "send_at": str,
    },
    total=False,
)
"""One message: `POST /api/v1/send`."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is safe on the box's disk."""

    id: str
    recipients: int


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One of a batch that was not taken."""

    status: int
    detail: str
    field: str = ""


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each message of a batch, in their order."""

    accepted: int
    refused: int
    results: list[Sent | Refused]


def batch_result(octets: bytes) -> BatchResult:
    """Read the answer to a batch; a row with an id was taken."""
    read = msgspec.json.decode(octets)
    rows: list[Sent | Refused] = [
        msgspec.convert(row, Sent) if "id" in row else msgspec.convert(row, Refused)
        for row in read.pop("results")
    ]
    return BatchResult(results=rows, **read)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a list; `cursor` leads to the next page, "" at the end."""

    items: list[dict[str, Any]]
    cursor: str = ""
