"""Read an outbox row: into an event, or into a rejection that says what is wrong with it; pure.

An event that cannot be understood must not stop those behind it. Lengths are cut to what an index
entry may hold on every database; the data itself is kept whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.ids import shard_of
from appliance.history.days import bounds, day_of, name
from appliance.history.model import Facts, LoggedEvent, OutboxRow, Rejected
from mta.spool.batch import EVERY_RECIPIENT
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

AHEAD: Final = 3660
"""Days that a message may be ahead of today. Ids never go back: a clock that was wrong for a moment, once, leaves its
shard's messages ahead for as long, and what happens to them must be known all the same."""

_ACCEPTED: Final = EventKind.ACCEPTED  # looked up in the enum it costs 0.2 us
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
    _, upto = bounds(today + AHEAD)
    for row in rows:
        try:
            events.append(_read(shard, row, upto))
        except ValueError as error:  # msgspec's errors are ValueErrors too
            rejected.append(Rejected(shard=shard, row=row, problem=str(error)))
    return events, rejected


def _read(shard: int, row: OutboxRow, upto: int) -> LoggedEvent:
    """One event of a message with an id below `upto`. Raises ValueError in words."""
    kind = _KINDS.get(row.kind)
    if kind is None:
        raise ValueError(f"nobody knows the kind {row.kind!r}")
    # Spelled out: as loops and functions this cost a fifth of all there is to do for an event.
    message_id, n = row.message_id, row.n
    is_sound = 0 <= row.seq < _MAX_INT and 0 <= message_id < upto and 0 <= row.at < _MAX_INT
    if not (is_sound and -1 <= n < _MAX_N and shard_of(message_id) == shard):
        raise ValueError(_misplaced(shard, row, upto))
    # PostgreSQL's text holds no NUL, and a remote's words are not ours to trust. To look for one octet
    # costs 0.45 us an event, for all six 0.8.
    data = row.data
    facts = _facts(data.replace(_NUL, rb"\ufffd") if _BACKSLASH in data else data)
    # A trusted network has a negative credential id: it has no row (appliance/run/directory.py).
    is_sound = 0 <= facts.tenant < _MAX_INT and -_MAX_INT < facts.credential < _MAX_INT
    if not (is_sound and 0 <= facts.size < _MAX_INT and 0 <= facts.attempt < _MAX_N):
        raise ValueError("a number in its data is out of range")
    if kind is _ACCEPTED:
        _check_recipients(facts)
    elif n < 0:
        raise ValueError(f"{row.kind} names no recipient")
    return LoggedEvent(
        shard=shard,
        seq=row.seq,
        message_id=message_id,
        n=EVERY_RECIPIENT if kind is _ACCEPTED else n,
        kind=kind,
        at=row.at,
        data=data,
        facts=facts,
    )


def _misplaced(shard: int, row: OutboxRow, upto: int) -> str:
    """What is wrong with where an event says that it belongs."""
    is_number = 0 <= row.seq < _MAX_INT and 0 <= row.message_id < _MAX_INT
    if not (is_number and 0 <= row.at < _MAX_INT and -1 <= row.n < _MAX_N):
        return "a number is out of range"
    if row.message_id >= upto:
        return f"its message is of {name(day_of(row.message_id))}, which is yet to come"
    return f"its message belongs to shard {shard_of(row.message_id)}, not {shard}"


def _check_recipients(facts: Facts) -> None:
    if not facts.recipients:
        raise ValueError("accepted without recipients")
    for n, _, _, status in facts.recipients:
        if not 0 <= n < _MAX_N or status not in _STATUSES:
            raise ValueError(f"recipient {n} has the status {status!r}")
