"""Rows of a spool as the values of `mta.message`; pure.

A row whose values cannot be true raises ValueError: SQLite gives back whatever lies in the file, numbers
for texts and the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Text

from mta.message import Message, Recipient, ReturnPathMode, Source
from mta.spool import tables as t
from mta.status import Status, TrafficClass

if TYPE_CHECKING:
    from sqlalchemy import Table

_tags = msgspec.json.Decoder(tuple[str, ...])


def _kinds(table: Table, upto: int | None = None) -> tuple[type, ...]:
    return tuple(str if isinstance(c.type, Text) else int for c in table.columns)[:upto]


_RECIPIENT: Final = _kinds(t.recipient)
_MESSAGE: Final = _kinds(t.message, t.OPEN)
_KEY: Final = (int, str, str, str, int, int)  # how many wait under it, and when the first is due
_EVENT: Final = (int, int, int, str, int, bytes)
_CLASSES: Final = frozenset(map(str, TrafficClass))


def are_keys(rows: list[tuple[Any, ...]]) -> bool:
    """Whether all rows of `waiting` can be true; column by column, because there may be a million."""
    columns = list(zip(*rows, strict=True))
    kinds = all(set(map(type, column)) == {one} for column, one in zip(columns, _KEY, strict=True))
    return kinds and _CLASSES.issuperset(columns[1])


def is_key(row: tuple[Any, ...]) -> bool:
    """Whether one of them can."""
    return _is_of(_KEY, row) and row[1] in _CLASSES


def is_event(row: tuple[Any, ...]) -> bool:
    """Whether a row of `events` can be true; whole, because there are thousands a second."""
    return tuple(map(type, row)) == _EVENT


def _is_of(kinds: tuple[type, ...], row: tuple[Any, ...]) -> bool:
    return all(map(isinstance, row, kinds))


def _check(kinds: tuple[type, ...], row: tuple[Any, ...]) -> None:
    if not _is_of(kinds, row):
        raise ValueError("a text is none, or stands where a number should")


def recipient_of(row: tuple[Any, ...]) -> Recipient:
    """A row of `recipient`, in the order of its columns."""
    _check(_RECIPIENT, row)
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
    _check(_MESSAGE, row)
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
