"""Check: whether what a spool holds agrees with itself; the same on both databases, beside its owner.

Looks at every message: rows that have lost the others or cannot be read, states that nobody knows, counts
that are wrong, bytes that are not the ones that were stored. Changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import ids
from mta.spool import digest
from mta.spool import tables as t
from mta.spool.rows import message_of, recipient_of
from mta.status import FINAL, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mta.spool.reading import Row, SpoolReader, Whole

_FINAL = frozenset(map(str, FINAL))
_KNOWN = frozenset(map(str, Status)) - {Status.SENDING}


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that is wrong with a message."""

    message_id: int
    words: str


@dataclass(slots=True)
class Checked:
    """How much was looked at."""

    messages: int = 0
    recipients: int = 0
    waiting: int = 0


def check(reader: SpoolReader, checked: Checked) -> Iterator[Flaw]:
    """Every flaw, in the order of messages; `checked` counts meanwhile."""
    for page in reader.messages():
        for whole in page:
            checked.messages += 1
            checked.recipients += len(whole.recipients)
            checked.waiting += sum(1 for row in whole.recipients if _waits(row))
            for words in flaws_of(whole, reader.shard):
                yield Flaw(whole.message_id, words)


def flaws_of(whole: Whole, shard: int) -> Iterator[str]:
    """What is wrong with one message; pure."""
    if ids.shard_of(whole.message_id) != shard:
        yield f"its id belongs to shard {ids.shard_of(whole.message_id)}"
    for row in whole.recipients:
        if row[7] not in _KNOWN:
            yield f"recipient {row[1]} has the state {row[7]!r}, which nobody knows"
        elif why := _unreadable(recipient_of, row):
            yield f"recipient {row[1]} cannot be read: {why}"
    if whole.message is None:
        if whole.recipients:
            yield f"{len(whole.recipients)} recipients without their message"
        if whole.content is not None:
            yield "content without its message"
        return
    if why := _unreadable(message_of, whole.message):
        yield f"the message cannot be read: {why}"
    yield from _of_recipients(whole.message, whole.recipients)
    yield from _of_content(whole, whole.message)


def _unreadable(read: Callable[[Row], object], row: Row) -> str:
    """Why; "" when it can be read."""
    try:
        read(row)
    except ValueError as error:
        return str(error)
    return ""


def _of_recipients(message: Row, recipients: tuple[Row, ...]) -> Iterator[str]:
    if not recipients:
        yield "a message without recipients"
        return
    still_open = sum(1 for row in recipients if _waits(row))
    if still_open != message[t.OPEN]:
        yield f"{still_open} recipients are open, the message says {message[t.OPEN]}"
    if message[t.DIGEST] not in (None, digest.of_envelope(message, recipients)):
        yield "its envelope is not the one that was stored"


def _of_content(whole: Whole, message: Row) -> Iterator[str]:
    waiting = sum(1 for row in whole.recipients if _waits(row))
    if whole.content is None:
        if waiting:
            yield f"{waiting} recipients wait for content that is gone"
        return
    data = whole.content[1]
    if not isinstance(data, bytes):
        yield "its content is not stored as octets"
    elif len(data) != message[10]:
        yield f"its content has {len(data)} octets, and had {message[10]}"
    elif whole.content[2] not in (None, digest.of_content(data)):
        yield "its content is not the one that was stored"


def _waits(row: Row) -> bool:
    return row[7] not in _FINAL
