"""Rows: what a batch of one day's events writes, table by table; pure.

A recipient that was accepted and settled within the batch is written once, as it stands at its end:
on a box that delivers in a second most rows need no update ever, and a delivered one never enters
the index of troubled ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from appliance.history.model import FLAG_OF, STATUS_OF
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.history.model import LoggedEvent

Key = tuple[int, int]
Row = tuple[object, ...]
TEXT: Final = 500
"""Characters kept of a text: at four octets each they fit an index entry of PostgreSQL (2704)."""

REPLY: Final = 1000
_json = msgspec.json.Encoder().encode
# By the bare words: to hash a member of an enum costs half a microsecond, twice an event.
_ACCEPTED: Final = EventKind.ACCEPTED.value
_FLAG: Final = {kind.value: int(flag) for kind, flag in FLAG_OF.items()}
_STATUS: Final = {kind.value: status.value for kind, status in STATUS_OF.items()}


class Standing(msgspec.Struct, gc=False):
    """How a batch leaves a recipient. Without a status only flags came; attempts 0: none was made."""

    status: str = ""
    status_at: int = 0
    reply: str = ""
    attempts: int = 0
    host: str = ""
    egress: str = ""
    tls: str = ""
    category: str = ""
    flags: int = 0

    def apply(self, kind: str, event: LoggedEvent) -> None:
        """Take in what happened next."""
        status = _STATUS.get(kind)
        if status is None:
            self.flags |= _FLAG.get(kind, 0)
            return
        facts = event.facts
        self.status, self.status_at = status, event.at
        self.reply = (facts.reply or facts.reason)[:REPLY] or self.reply
        if facts.attempt:
            self.attempts = facts.attempt
            self.host, self.egress = facts.host[:TEXT], facts.egress[:TEXT]
            self.tls, self.category = facts.tls[:TEXT], facts.category[:TEXT]

    def columns(self) -> tuple[object, ...]:
        """In the order of the table, from `status` on."""
        return (
            self.status,
            self.status_at,
            self.attempts,
            self.reply,
            self.host,
            self.egress,
            self.tls,
            self.category,
            self.flags,
        )


class Rows:
    """The rows of each table, in the order of its columns, made as they are asked for.

    A batch is thousands of events: rows that wait in lists for their statement cost an eighth of its
    CPU, in fresh memory and in looking for cycles among them.
    """

    def __init__(self, events: Sequence[LoggedEvent], position: int) -> None:
        self.tags: list[Row] = []
        self._events, self._position = events, position
        self._born: dict[Key, tuple[Row, Standing]] = {}
        self._changed: dict[Key, Standing] = {}
        for event in events:
            kind = event.kind._value_  # `value` is looked for in Python, 0.2 us each time
            if kind == _ACCEPTED:
                self._accept(event)
            else:
                self._standing((event.message_id, event.n)).apply(kind, event)

    def _standing(self, key: Key) -> Standing:
        born = self._born.get(key)
        if born is not None:
            return born[1]
        standing = self._changed.get(key)
        if standing is None:
            standing = self._changed[key] = Standing()
        return standing

    def _accept(self, event: LoggedEvent) -> None:
        facts = event.facts
        common = (
            facts.sender[:TEXT],
            facts.header_from[:TEXT],
            facts.message_id[:TEXT],
            facts.subject[:TEXT],
            _json(facts.tags).decode(),
            facts.traffic_class,
            facts.size,
            event.at,
        )
        for n, address, domain, status in facts.recipients:
            place = (event.message_id, n, facts.tenant, facts.credential)
            row = (*place, address[:TEXT], domain[:TEXT], *common)
            self._born[event.message_id, n] = row, Standing(status=status, status_at=event.at)
        for tag in dict.fromkeys(facts.tags):
            self.tags.append((tag[:TEXT], event.message_id, facts.tenant))

    def events(self) -> Iterator[Row]:
        """Every event as it came."""
        for e in self._events:
            # pysqlite knows a bytearray; of bytes it asks around for an adapter each time, 3 us.
            yield e.message_id, e.n, e.seq, e.kind._value_, e.at, bytearray(e.data)

    def journal(self) -> Iterator[Row]:
        """Every event's place in the order of arrival."""
        for place, e in enumerate(self._events, self._position):
            yield place, e.message_id, e.n, e.seq, e.facts.tenant, e.kind._value_

    def recipients(self) -> Iterator[Row]:
        """Recipients accepted in this batch, as they stand at its end."""
        for row, standing in self._born.values():
            yield row + standing.columns()

    def tried(self) -> Iterator[Row]:
        """Earlier recipients of which an attempt is told: everything is new, then the key."""
        return (s.columns() + key for key, s in self._changed.items() if s.attempts)

    def moved(self) -> Iterator[Row]:
        """Earlier recipients that changed without an attempt: status, when, words, flags, key."""
        for key, s in self._changed.items():
            if not s.attempts:
                yield s.status, s.status_at, s.status_at, s.reply, s.flags, *key
