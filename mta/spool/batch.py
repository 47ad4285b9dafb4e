"""Batch: everything one commit of a shard writes, collected as rows before the transaction opens.

The committing thread fills it from the jobs that piled up while the last flush ran; the store then
writes it with one `executemany` a table. Nothing here touches a database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mta.spool import digest
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from mta.message import Admitted, Recipient

EVERY_RECIPIENT = -1
"""`n` of an event that is about all recipients of its message."""

_json = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a recipient; `data` is what the log and webhooks will show."""

    message_id: int
    n: int
    kind: EventKind
    at: int
    data: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The outcome for one recipient: the move it makes and the event that tells of it."""

    recipient: Recipient  # as it stood before the attempt
    status: Status
    due_at: int
    reason: str
    host: str
    egress: str
    event: Event
    tried: bool = True  # False: settled without an attempt (suppressed, corrupt)

    @property
    def attempts(self) -> int:
        """Attempts the recipient has behind it now."""
        return self.recipient.attempts + self.tried


@dataclass(slots=True)
class Batch:
    """Rows by table, in the column order of `mta.spool.tables`."""

    shard: int
    now: int
    next_seq: int
    messages: list[tuple[object, ...]] = field(default_factory=list)
    contents: list[tuple[int, bytes, int]] = field(default_factory=list)
    recipients: list[tuple[object, ...]] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)
    keys: list[tuple[object, ...]] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    last_id: int = 0
    events_written: int = 0  # how many of `events` are in the outbox already

    def add_message(self, admitted: Admitted) -> None:
        """A message with its content, recipients and the event `accepted`."""
        message = admitted.message
        still_open = sum(1 for r in admitted.recipients if not r.status.is_final)
        row = _message_row(admitted, self.shard, still_open, self.now)
        recipients = [_recipient_row(r, self.shard) for r in admitted.recipients]
        self.messages.append((*row, digest.of_envelope(row, recipients)))
        if still_open:
            of_content = digest.of_content(admitted.content)
            self.contents.append((message.id, admitted.content, of_content))
        self.recipients.extend(recipients)
        self.last_id = max(self.last_id, message.id)
        if admitted.idempotency_key:
            expires = self.now + IDEMPOTENCY_MS
            self.keys.append(
                (message.tenant_id, admitted.idempotency_key, self.shard, message.id, expires)
            )
        self.add_event(accepted_event(admitted, self.now))
        for recipient in admitted.recipients:
            if recipient.status is not Status.QUEUED:
                self.add_event(_kept_back(recipient, self.now))

    def add_event(self, event: Event) -> None:
        """Append to the outbox under the next sequence number."""
        self.events.append(
            (
                self.shard,
                self.next_seq,
                event.message_id,
                event.n,
                str(event.kind),
                event.at,
                _json.encode(event.data),
            )
        )
        self.next_seq += 1


IDEMPOTENCY_MS = 24 * 3600 * 1000
"""How long an idempotency key is remembered (API-1)."""


def accepted_event(admitted: Admitted, now: int) -> Event:
    """One event for the whole message: the log makes a row per recipient of it."""
    message = admitted.message
    return Event(
        message_id=message.id,
        n=EVERY_RECIPIENT,
        kind=EventKind.ACCEPTED,
        at=now,
        data={
            "tenant": message.tenant_id,
            "credential": message.credential_id,
            "source": message.source,
            "class": message.traffic_class,
            "sender": message.envelope_from,
            "from": message.header_from,
            "message_id": message.message_id,
            "subject": message.subject,
            "size": message.size,
            "client": message.client,
            "tags": message.tags,
            "metadata": message.metadata,
            "signed": admitted.selectors,
            "signing_domain": message.signing_domain,
            "recipients": [[r.n, r.address, r.domain, r.status] for r in admitted.recipients],
        },
    )


def _kept_back(recipient: Recipient, now: int) -> Event:
    """A recipient that was suppressed or held when it was accepted."""
    return Event(
        message_id=recipient.message_id,
        n=recipient.n,
        kind=EventKind(recipient.status),
        at=now,
        data={
            "tenant": recipient.tenant_id,
            "to": recipient.address,
            "reason": recipient.reason,
        },
    )


def _message_row(admitted: Admitted, shard: int, still_open: int, now: int) -> tuple[object, ...]:
    m = admitted.message
    return (
        m.id,
        shard,
        m.tenant_id,
        m.credential_id,
        str(m.source),
        str(m.traffic_class),
        m.envelope_from,
        m.header_from,
        m.message_id,
        m.subject,
        m.size,
        m.accepted_at,
        m.client,
        _json.encode(m.tags).decode(),
        m.metadata,
        m.smtputf8,
        m.body_8bit,
        m.ret,
        m.envid,
        m.dsn,
        str(m.return_path_mode),
        m.bounce_domain,
        m.signing_domain,
        still_open,
        0 if still_open else now,
    )


def _recipient_row(r: Recipient, shard: int) -> tuple[object, ...]:
    return (
        r.message_id,
        r.n,
        shard,
        r.tenant_id,
        str(r.traffic_class),
        r.address,
        r.domain,
        str(r.status),
        r.due_at,
        r.expires_at,
        r.attempts,
        r.notify,
        r.orcpt,
        r.reason,
        r.last_host,
        r.last_egress,
        r.pool,
    )
