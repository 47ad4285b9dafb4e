"""Found: rows of the log as values; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from appliance.history.model import EventRecord, Facts, Flag, Found, MessageHistory, Told
from appliance.history.tables import recipient
from appliance.history.writer import POSITION_BITS
from mta.status import EventKind, Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = tuple(column.name for column in recipient.columns)
_KINDS = {kind.value: kind for kind in EventKind}  # a look-up takes a tenth of EventKind(word)
_tags = msgspec.json.Decoder(tuple[str, ...]).decode
_data = msgspec.json.Decoder(dict[str, Any]).decode
_facts = msgspec.json.Decoder(Facts).decode


def found_of(row: Sequence[Any]) -> Found:
    """A row of the recipients' table."""
    values = dict(zip(_NAMES, row, strict=True))
    values["tags"] = _tags(values["tags"])
    values["traffic_class"] = TrafficClass(values["traffic_class"])
    values["status"] = Status(values["status"])
    values["flags"] = Flag(values["flags"])
    return Found(**values)


def event_of(row: Sequence[Any], position: int = 0) -> EventRecord:
    """A row of the events' table."""
    message_id, n, seq, kind, at, data = row
    return EventRecord(
        message_id=message_id,
        n=n,
        seq=seq,
        kind=_KINDS[kind],
        at=at,
        data=_data(data),
        position=position,
    )


def acceptance_of(row: Sequence[Any]) -> dict[str, Any]:
    """What the event of an acceptance said."""
    return _data(row[1])


def told_of(row: Sequence[Any]) -> Told:
    """A row of the journal, with its event and its recipient."""
    position, message_id, n, kind, at, data, *whose, delivery, was_told = row
    facts = _facts(data)
    header_from, traffic_class, tags, accepted_at = whose
    if n < 0:
        header_from, traffic_class, accepted_at = facts.header_from, facts.traffic_class, at
    return Told(
        taken_at=position >> POSITION_BITS,
        message_id=message_id,
        n=n,
        kind=_KINDS[kind],
        at=at,
        facts=facts,
        header_from=header_from or "",
        traffic_class=traffic_class or "",
        tags=facts.tags if n < 0 else _tags(tags or "[]"),
        accepted_at=accepted_at or 0,
        delivery=_facts(delivery) if delivery else None,
        is_known=accepted_at is not None,
        is_repeated=bool(was_told),
    )


def history_of(
    recipients: Sequence[Found], events: Sequence[EventRecord], *, is_cut: bool
) -> MessageHistory:
    """A message put together from its first recipient and the event of its acceptance."""
    first = recipients[0]
    accepted = next((e.data for e in events if e.kind is EventKind.ACCEPTED), {})
    return MessageHistory(
        message_id=first.message_id,
        tenant_id=first.tenant_id,
        credential_id=first.credential_id,
        source=accepted.get("source", ""),
        client=accepted.get("client", ""),
        sender=first.sender,
        header_from=first.header_from,
        message_id_header=first.message_id_header,
        subject=first.subject,
        tags=first.tags,
        metadata=accepted.get("metadata", ""),
        traffic_class=first.traffic_class,
        size=first.size,
        accepted_at=first.accepted_at,
        signing_domain=accepted.get("signing_domain", ""),
        selectors=tuple(accepted.get("signed", ())),
        recipients=tuple(recipients),
        events=tuple(events),
        is_cut=is_cut,
    )
