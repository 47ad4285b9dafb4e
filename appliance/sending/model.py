"""Values of sending. `Letter` is also the shape of the API's request: its bounds are checked as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads annotations at run time
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from mta.status import TrafficClass  # noqa: TC001 - likewise

MAX_BATCH: Final = 1000
MAX_RECIPIENTS: Final = 100  # of one letter: To, Cc and Bcc together

Email = Annotated[str, Meta(min_length=3, max_length=320, description="An address: local@domain.")]


class Mailbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address with the name of who is behind it."""

    email: Email
    name: Annotated[str, Meta(max_length=200, description="As it is shown; may be empty.")] = ""


Mailboxes = Annotated[
    tuple[Mailbox | Email, ...],
    Meta(max_length=MAX_RECIPIENTS, description="Addresses, or objects with email and name."),
]


class Attachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file in the letter."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content: Annotated[bytes, Meta(description="The file, base64.")]
    content_type: Annotated[str, Meta(max_length=127)] = "application/octet-stream"
    content_id: Annotated[
        str, Meta(max_length=200, description='With it the html shows the file as "cid:...".')
    ] = ""


class Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One message to be sent."""

    from_: Annotated[
        Mailbox | Email, Meta(description="Who writes; of a verified sending domain.")
    ] = msgspec.field(name="from")
    to: Mailboxes = ()
    cc: Mailboxes = ()
    bcc: Mailboxes = ()
    reply_to: Annotated[tuple[Mailbox | Email, ...], Meta(max_length=10)] = ()
    subject: Annotated[str, Meta(max_length=998)] = ""
    text: Annotated[str, Meta(description="The plain text.")] = ""
    html: Annotated[str, Meta(description="The HTML; give a text too.")] = ""
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=50)] = ()
    headers: Annotated[
        dict[str, Annotated[str, Meta(max_length=2000)]],
        Meta(max_length=50, description="Further header fields."),
    ] = msgspec.field(default_factory=dict)
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(max_length=10, description="To find it again, and to count by."),
    ] = ()
    metadata: Annotated[
        dict[str, Any], Meta(description="Given back in events and webhooks; 4 KB as JSON.")
    ] = msgspec.field(default_factory=dict)
    traffic_class: Annotated[
        TrafficClass | None, Meta(description="transactional or bulk; null: as it looks.")
    ] = msgspec.field(default=None, name="class")
    pool: Annotated[str, Meta(max_length=63, description="The egress pool it leaves from.")] = ""
    send_at: (
        Annotated[
            datetime,
            Meta(tz=True, description="When it is sent, with a zone; up to 30 days ahead."),
        ]
        | None
    ) = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A composed letter on its way into the box."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    smtputf8: bool
    body_8bit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """It is durable."""

    id: int
    recipients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """It was not taken. `code` is the SMTP reply's, 0 when the letter itself is wrong."""

    words: str
    field: str = ""
    code: int = 0
    enhanced: str = ""
