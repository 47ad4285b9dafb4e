"""Messages and recipients for tests: complete values from the few facts a test is about."""

from __future__ import annotations

from typing import Any

from mta.message import (
    Admitted,
    Message,
    Recipient,
    ReturnPathMode,
    Source,
)
from mta.spool.batch import Event, Settlement
from mta.status import EventKind, Status, TrafficClass

NOW = 1_790_000_000_000
DAY = 86_400_000


def recipient(message_id: int = 1, n: int = 0, **changes: Any) -> Recipient:
    """A fresh recipient of tenant 7 at example.net, due now."""
    values: dict[str, Any] = {
        "message_id": message_id,
        "n": n,
        "tenant_id": 7,
        "traffic_class": TrafficClass.TRANSACTIONAL,
        "address": f"user{n}@{changes.get('domain', 'example.net')}",
        "domain": "example.net",
        "status": Status.QUEUED,
        "due_at": NOW,
        "expires_at": NOW + 4 * DAY,
    }
    return Recipient(**(values | changes))


def message(message_id: int = 1, **changes: Any) -> Message:
    """A message of tenant 7."""
    values: dict[str, Any] = {
        "id": message_id,
        "tenant_id": 7,
        "credential_id": 3,
        "source": Source.SMTP,
        "traffic_class": TrafficClass.TRANSACTIONAL,
        "envelope_from": "orders@shop.example.com",
        "header_from": "orders@shop.example.com",
        "message_id": "<1@shop.example.com>",
        "subject": "hello",
        "size": 100,
        "accepted_at": NOW,
        "client": "192.0.2.10",
        "tags": ("receipt",),
        "metadata": "",
        "smtputf8": False,
        "body_8bit": False,
        "ret": "",
        "envid": "",
        "dsn": True,
        "return_path_mode": ReturnPathMode.RECIPIENT,
        "bounce_domain": "bounces.box.lab",
        "signing_domain": "",
    }
    return Message(**(values | changes))


def admitted(message_id: int = 1, *people: Recipient, **changes: Any) -> Admitted:
    """A message that may be sent, to one recipient unless others are named."""
    content = changes.pop("content", b"Subject: hello\r\n\r\nhi\r\n")
    key = changes.pop("idempotency_key", "")
    return Admitted(
        message=message(message_id, size=len(content), **changes),
        recipients=people or (recipient(message_id),),
        content=content,
        selectors=(),
        idempotency_key=key,
    )


def settlement(
    who: Recipient, status: Status = Status.DELIVERED, *, due_at: int = 0, **changes: Any
) -> Settlement:
    """The outcome of an attempt for one recipient."""
    values: dict[str, Any] = {
        "recipient": who,
        "status": status,
        "due_at": due_at,
        "reason": "" if status is Status.DELIVERED else "450 4.2.1 later",
        "host": "mx.example.net",
        "egress": "default",
        "event": Event(
            message_id=who.message_id, n=who.n, kind=EventKind(status), at=NOW, data={"tenant": 7}
        ),
    }
    return Settlement(**(values | changes))
