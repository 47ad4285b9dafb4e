"""LogWitness: the event log as it is asked what became of messages (mta/spool/salvage).

A day of the log that cannot be read knows nothing, and is remembered in `silent`: what it would have
said is missing, not wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock, ids
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.history import Filters, LogReader
from mta.spool.salvage import Logged, LoggedRecipient
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.database import Location

_WAITING: Final = (Status.QUEUED, Status.DEFERRED, Status.HELD)
_PAGE: Final = 1000
_SCOPE: Final = Scope.system(by="witness")


class LogWitness:
    """Asks a log that nobody writes at the moment (mta.spool.salvage.Witness)."""

    def __init__(self, location: Location) -> None:
        self._log = LogReader(location)
        self._days = set(self._log.days())
        self.silent: set[int] = set()

    def close(self) -> None:
        """Let the log go."""
        self._log.close()

    def can_tell(self, message_id: int) -> bool:
        """Whether the log of the message's day is there and has not failed yet."""
        return _day(message_id) in self._days - self.silent

    def story(self, message_id: int) -> Logged | None:
        """The message with its recipients."""
        if not self.can_tell(message_id):
            return None
        try:
            found = self._log.recipients(message_id)
        except StoreError:
            self.silent.add(_day(message_id))
            return None
        if not found:
            return None
        people = tuple(LoggedRecipient(one.n, one.address, str(one.status)) for one in found)
        first = found[0]
        return Logged(message_id, first.tenant_id, first.sender, first.size, people)

    def waiting(self, shard: int) -> Iterator[int]:
        """From the index of states, day by day."""
        for day in sorted(self._days):
            for status in _WAITING:
                yield from (id_ for id_ in self._of_day(day, status) if ids.shard_of(id_) == shard)

    def _of_day(self, day: int, status: Status) -> Iterator[int]:
        since = day * clock.DAY
        filters = Filters(status=status, since=since, until=since + clock.DAY)
        cursor = ""
        while day not in self.silent:
            try:
                page = self._log.search(_SCOPE, filters, cursor=cursor, limit=_PAGE)
            except StoreError:
                self.silent.add(day)
                return
            yield from dict.fromkeys(one.message_id for one in page.rows)
            cursor = page.cursor
            if not cursor:
                return


def _day(message_id: int) -> int:
    return ids.time_of(message_id) // clock.DAY
