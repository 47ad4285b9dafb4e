"""The peer: a log as most are made, a row for each event and an index for each question.

Six indexes, in one SQLite file with the settings of ours; it keeps what a search shows of an event and not
the event itself, some 350 octets a row. What ours costs beside it in one run is a figure that travels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core.database import sqlite_connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appliance.history import LoggedEvent

_TABLE: Final = """
    CREATE TABLE event (id INTEGER PRIMARY KEY, message_id INTEGER, tenant_id INTEGER, kind TEXT, at INTEGER,
    address TEXT, domain TEXT, sender TEXT, reply TEXT, host TEXT)
"""
_INDEXES: Final = (
    "message_id",
    "tenant_id, at",
    "kind, at",
    "address, at",
    "domain, at",
    "sender, at",
)
_INSERT: Final = "INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Peer:
    """Writes the same events as ours."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite_connect(path)
        self._connection.execute(_TABLE)
        for number, columns in enumerate(_INDEXES):
            self._connection.execute(f"CREATE INDEX ix_{number} ON event ({columns})")

    def sync(self, how: str) -> None:
        """`PRAGMA synchronous`."""
        self._connection.execute(f"PRAGMA synchronous={how}")

    def write(self, events: Sequence[LoggedEvent]) -> None:
        """One transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, [_row(event) for event in events])
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()


def _row(event: LoggedEvent) -> tuple[object, ...]:
    """Of a message that was accepted the first recipient: one row for each event, as ours has."""
    facts = event.facts
    address = facts.recipients[0][1] if facts.recipients else facts.to
    return (
        event.message_id,
        facts.tenant,
        event.kind.value,
        event.at,
        address,
        address.rpartition("@")[2],
        facts.header_from,
        facts.reply,
        facts.host,
    )
