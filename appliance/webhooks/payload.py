"""Payload: what a receiver is told of an event, as JSON; pure.

Fields that say nothing are left out. New fields may come; none changes its meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.clock import iso
from appliance.core.ids import to_text
from appliance.webhooks.model import TEST, Key, Told
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.history import EventRecord

SHOWN_RECIPIENTS: Final = 100
_TEXT: Final = 1000
_FAILURES: Final = (EventKind.BOUNCED, EventKind.BOUNCED_LATE)


class Origin(msgspec.Struct, frozen=True):
    """What a message was given to be known by later."""

    tags: tuple[str, ...] = ()
    metadata: str = ""  # JSON text


class MessageData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`data` of a message.* event."""

    event_id: str  # the same for every endpoint; GET /api/v1/events shows it too
    message_id: str
    recipient: str = ""  # whom it is about
    recipients: tuple[str, ...] = ()  # of message.accepted; the first hundred
    recipient_count: int = 0  # of message.accepted
    from_: str = msgspec.field(default="", name="from")
    subject: str = ""
    message_id_header: str = ""
    traffic_class: str = msgspec.field(default="", name="class")
    size: int = 0
    reply: str = ""  # the receiver's last words
    reason: str = ""  # why, where nobody was asked
    category: str = ""  # what a failure was about, in one word
    bounce: str = ""  # hard or soft
    attempt: int = 0
    next_attempt_at: str = ""  # of message.deferred
    host: str = ""  # of the receiver
    egress: str = ""  # which of our addresses it left by
    tls: str = ""
    tags: tuple[str, ...] = ()
    metadata: msgspec.Raw | msgspec.UnsetType = (
        msgspec.UNSET
    )  # the object that was given with the message


class TestData(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of webhook.test."""

    webhook_id: int
    words: str = "This is a test from Pillarbox. Nothing has happened."


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body."""

    type: str
    timestamp: str  # when it happened
    data: MessageData | TestData


_encode = msgspec.json.Encoder().encode


def told(event: EventRecord, origin: Origin) -> Told:
    """The event as it is sent."""
    kind = f"message.{event.kind.value}"
    payload = Payload(type=kind, timestamp=iso(event.at), data=_data(event, origin))
    return Told(
        position=event.position,
        tenant_id=event.tenant_id,
        key=Key(event.message_id, event.seq, event.n),
        type=kind,
        at=event.at,
        body=_encode(payload),
    )


def test_body(webhook_id: int, now: int) -> bytes:
    """What is sent to try an endpoint out."""
    data = TestData(webhook_id=webhook_id)
    return _encode(Payload(type=TEST, timestamp=iso(now), data=data))


def origin_of(accepted: Mapping[str, Any]) -> Origin:
    """From what was said when the message was accepted."""
    metadata = accepted.get("metadata", "")
    return Origin(tuple(accepted.get("tags", ())), metadata if _is_object(metadata) else "")


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False


def _data(event: EventRecord, origin: Origin) -> MessageData:
    said = event.data
    to = [one[1] for one in said.get("recipients", ())]
    hard = "hard" if said.get("hard") else "soft"
    following = said.get("next", 0)
    return MessageData(
        event_id=event.id,
        message_id=to_text(event.message_id),
        recipient=_text(said, "to"),
        recipients=tuple(to[:SHOWN_RECIPIENTS]),
        recipient_count=len(to),
        from_=_text(said, "from"),
        subject=_text(said, "subject"),
        message_id_header=_text(said, "message_id"),
        traffic_class=_text(said, "class"),
        size=said.get("size", 0),
        reply=_text(said, "reply"),
        reason=_text(said, "reason"),
        category=_text(said, "category"),
        bounce=hard if event.kind in _FAILURES else "",
        attempt=said.get("attempt", 0),
        next_attempt_at=iso(following) if event.kind is EventKind.DEFERRED and following else "",
        host=_text(said, "host"),
        egress=_text(said, "egress"),
        tls=_text(said, "tls"),
        tags=origin.tags,
        metadata=msgspec.Raw(origin.metadata.encode()) if origin.metadata else msgspec.UNSET,
    )


def _text(said: Mapping[str, Any], name: str) -> str:
    text = said.get(name, "")
    return text[:_TEXT] if isinstance(text, str) else ""
