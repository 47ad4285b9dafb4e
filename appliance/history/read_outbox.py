"""Read an outbox row: into an event, or into a rejection that says what is wrong with it; pure.

An event that cannot be understood must not stop those behind it. Lengths are cut to what an index
entry may hold on every database; the data itself is kept whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.ids import shard_of
from appliance.history.days import day_of, name
from appliance.history.model import Facts, LoggedEvent, OutboxRow, Rejected
from mta.spool.batch import EVERY_RECIPIENT
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS: Final = {str(kind): kind for kind in EventKind}
_STATUSES: Final = frozenset(map(str, Status))
_MAX_INT: Final = 1 << 63
_MAX_N: Final = 1 << 31
_NUL: Final = rb"\u0000"
_BACKSLASH: Final = b"\\"
_facts = msgspec.json.Decoder(Facts).decode


def read(
    shard: int, rows: Iterable[OutboxRow], today: int
) -> tuple[list[LoggedEvent], list[Rejected]]:
    """Events and rejections, each in the order of the rows."""
    events: list[LoggedEvent] = []
    rejected: list[Rejected] = []
    for row in rows:
        try:
            events.append(read_one(shard, row, today))
        except ValueError as error:  # msgspec's errors are ValueErrors too
            rejected.append(Rejected(shard=shard, row=row, problem=str(error)))
    return events, rejected


def read_one(shard: int, row: OutboxRow, today: int) -> LoggedEvent:
    """One event. Raises ValueError in words."""
    kind = _KINDS.get(row.kind)
    if kind is None:
        raise ValueError(f"nobody knows the kind {row.kind!r}")
    _check_place(shard, row, today)
    facts = _facts(_without_nul(row.data))
    _check_numbers(facts)
    if kind is EventKind.ACCEPTED:
        _check_recipients(facts)
    elif row.n < 0:
        raise ValueError(f"{row.kind} names no recipient")
    return LoggedEvent(
        shard=shard,
        seq=row.seq,
        message_id=row.message_id,
        n=EVERY_RECIPIENT if kind is EventKind.ACCEPTED else row.n,
        kind=kind,
        at=row.at,
        data=row.data,
        facts=facts,
    )


def _check_place(shard: int, row: OutboxRow, today: int) -> None:
    # Spelled out: as a loop it cost a tenth of all there is to do for an event.
    is_sound = 0 <= row.seq < _MAX_INT and 0 <= row.message_id < _MAX_INT
    if not (is_sound and 0 <= row.at < _MAX_INT and -1 <= row.n < _MAX_N):
        raise ValueError("a number is out of range")
    if shard_of(row.message_id) != shard:
        raise ValueError(f"its message belongs to shard {shard_of(row.message_id)}, not {shard}")
    day = day_of(row.message_id)
    if day > today + 1:
        raise ValueError(f"its message is of {name(day)}, which is yet to come")


def _check_numbers(facts: Facts) -> None:
    # A trusted network has a negative credential id: it has no row (appliance/run/directory.py).
    is_sound = 0 <= facts.tenant < _MAX_INT and -_MAX_INT < facts.credential < _MAX_INT
    if not (is_sound and 0 <= facts.size < _MAX_INT and 0 <= facts.attempt < _MAX_N):
        raise ValueError("a number in its data is out of range")


def _check_recipients(facts: Facts) -> None:
    if not facts.recipients:
        raise ValueError("accepted without recipients")
    for n, _, _, status in facts.recipients:
        if not 0 <= n < _MAX_N or status not in _STATUSES:
            raise ValueError(f"recipient {n} has the status {status!r}")


def _without_nul(data: bytes) -> bytes:
    # PostgreSQL's text holds no NUL, and a remote's words are not ours to trust. To look for one octet
    # costs 0.45 us an event, for all six 0.8.
    return data.replace(_NUL, rb"\ufffd") if _BACKSLASH in data else data
