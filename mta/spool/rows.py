"""Rows of a spool as the values of `mta.message`; pure."""

from __future__ import annotations

from typing import Any

import msgspec

from mta.message import Message, Recipient, ReturnPathMode, Source
from mta.status import Status, TrafficClass

_tags = msgspec.json.Decoder(tuple[str, ...])


def recipient_of(row: tuple[Any, ...]) -> Recipient:
    """A row of `recipient`, in the order of its columns."""
    return Recipient(
        message_id=row[0],
        n=row[1],
        tenant_id=row[3],
        traffic_class=TrafficClass(row[4]),
        address=row[5],
        domain=row[6],
        status=Status(row[7]),
        due_at=row[8],
        expires_at=row[9],
        attempts=row[10],
        notify=row[11],
        orcpt=row[12],
        reason=row[13],
        last_host=row[14],
        last_egress=row[15],
        pool=row[16],
    )


def message_of(row: tuple[Any, ...]) -> Message:
    """A row of `message`, in the order of its columns."""
    return Message(
        id=row[0],
        tenant_id=row[2],
        credential_id=row[3],
        source=Source(row[4]),
        traffic_class=TrafficClass(row[5]),
        envelope_from=row[6],
        header_from=row[7],
        message_id=row[8],
        subject=row[9],
        size=row[10],
        accepted_at=row[11],
        client=row[12],
        tags=_tags.decode(row[13]),
        metadata=row[14],
        smtputf8=bool(row[15]),
        body_8bit=bool(row[16]),
        ret=row[17],
        envid=row[18],
        dsn=bool(row[19]),
        return_path_mode=ReturnPathMode(row[20]),
        bounce_domain=row[21],
        signing_domain=row[22],
    )
