"""Damage: rows of one shard that cannot be read. They are passed over, and told of once.

Whatever a row holds, it is about one message, or one key: everything else of the shard goes on. What is
passed over stays where it is, for `pillarbox spool check` and `pillarbox spool repair`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from mta.spool.rows import are_keys, is_event, is_key, recipient_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.message import Recipient

Row = tuple[Any, ...]

MOST_TOLD: Final = 1000
"""Lines in the log until the process starts anew: by then everybody knows."""

log = logging.getLogger(__name__)


class Damage:
    """What was found in one shard; used by its committing thread alone."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._told: set[str] = set()

    def recipients(self, rows: list[Row]) -> list[Recipient]:
        """Those that can be read, in their order."""
        try:
            return [recipient_of(row) for row in rows]
        except ValueError:
            return list(self._readable(rows))

    def keys(self, rows: list[Row]) -> list[Row]:
        """Those under which mail can be read."""
        if not rows or are_keys(rows):
            return rows
        for row in rows:
            if not is_key(row):
                self._tell(f"what waits as {row[:4]}", "no tenant, class or domain can be so")
        return [row for row in rows if is_key(row)]

    def events(self, rows: list[Row]) -> list[Row]:
        """Those that can be read. What the others told is lost: the line in our log is what is left."""
        for row in rows:
            if not is_event(row):
                self._tell(f"event {row[0]!r} of {row[1]!r}", repr(row[2:])[:1000])
        return [row for row in rows if is_event(row)]

    def message(self, message_id: object, error: Exception) -> None:
        """This message, or one of its recipients, cannot be read; its id may be damaged itself."""
        if isinstance(message_id, int) and message_id >= 0:
            message_id = ids.to_text(message_id)
        self._tell(f"message {message_id}", str(error))

    def _readable(self, rows: list[Row]) -> Iterator[Recipient]:
        for row in rows:
            try:
                yield recipient_of(row)
            except ValueError as error:
                self.message(row[0], error)

    def _tell(self, what: str, why: str) -> None:
        if what in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(what)
        log.error(
            "shard %d: %s cannot be read and stays where it is, the rest goes on: %s;"
            " see `pillarbox spool check`, then stop the box for `pillarbox spool repair`",
            self._shard,
            what,
            why,
        )
