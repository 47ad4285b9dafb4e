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
    from collections.abc import Sequence

    from appliance.history.model import LoggedEvent

Key = tuple[int, int]
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
    """The rows of each table, in the order of its columns."""

    def __init__(self) -> None:
        self.tags: list[tuple[object, ...]] = []
        self.events: list[tuple[object, ...]] = []
        self.journal: list[tuple[object, ...]] = []
        self._born: dict[Key, tuple[tuple[object, ...], Standing]] = {}
        self._changed: dict[Key, Standing] = {}

    def add(self, event: LoggedEvent, position: int) -> None:
        """Append an event that takes this place in the journal."""
        kind = event.kind._value_  # `value` is looked for in Python, 0.2 us each time
        message_id, n, seq = event.message_id, event.n, event.seq
        # pysqlite knows a bytearray; of bytes it asks around for an adapter each time, 3 us.
        self.events.append((message_id, n, seq, kind, event.at, bytearray(event.data)))
        self.journal.append((position, message_id, n, seq, event.facts.tenant, kind))
        if kind == _ACCEPTED:
            self._accept(event)
        else:
            self._standing((message_id, n)).apply(kind, event)

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
        sender, header_from = facts.sender[:TEXT], facts.header_from[:TEXT]
        common = (
            sender,
            header_from,
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
            standing = Standing(status=status, status_at=event.at)
            self._born[event.message_id, n] = (row, standing)
        for tag in dict.fromkeys(facts.tags):
            self.tags.append((tag[:TEXT], event.message_id, facts.tenant))

    def recipients(self) -> list[tuple[object, ...]]:
        """Recipients accepted in this batch, as they stand at its end."""
        return [(*row, *standing.columns()) for row, standing in self._born.values()]

    def tried(self) -> list[tuple[object, ...]]:
        """Earlier recipients of which an attempt is told: everything is new, then the key."""
        return [(*s.columns(), *key) for key, s in self._changed.items() if s.attempts]

    def moved(self) -> list[tuple[object, ...]]:
        """Earlier recipients that changed without an attempt: status, when, words, flags, key."""
        return [
            (s.status, s.status_at, s.status_at, s.reply, s.flags, *key)
            for key, s in self._changed.items()
            if not s.attempts
        ]


def rows_of(events: Sequence[LoggedEvent], position: int) -> Rows:
    """The rows of a batch; its first event takes the place `position`."""
    rows = Rows()
    for place, event in enumerate(events, position):
        rows.add(event, place)
    return rows
