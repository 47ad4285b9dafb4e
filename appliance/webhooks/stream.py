"""Stream: the log's events as they are sent, read in pages behind a place in the journal.

Tags and metadata were said when a message was accepted; of messages seen of late they are remembered, of
others looked up together, so that a page costs one question more at most in each day it touches.
Calls block: use `asyncio.to_thread`, one at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core.scope import Scope
from appliance.history import EventFilters
from appliance.webhooks.payload import Origin, origin_of, told
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from appliance.history import EventRecord, LogReader
    from appliance.webhooks.model import Told

_REMEMBERED: Final = 5000  # messages
_SYSTEM: Final = Scope.system(by="webhooks")
_NONE: Final = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events, and the place behind them. `more` is False when the reader has caught up."""

    events: tuple[Told, ...]
    place: int
    more: bool


def kinds_of(types: Iterable[str]) -> frozenset[EventKind]:
    """The kinds of these types; none when all are wanted."""
    kinds = frozenset(EventKind(one.removeprefix("message.")) for one in types)
    return frozenset() if len(kinds) == len(EventKind) else kinds


class Stream:
    """The events of everybody, or of one tenant."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._origins: OrderedDict[int, Origin] = OrderedDict()

    def end(self) -> int:
        """The place behind everything there is."""
        return int(self._log.end())

    def everybody(
        self, place: int, limit: int, tenants: Collection[int], kinds: frozenset[EventKind]
    ) -> Page:
        """Events of all; those of other tenants than these are left out of the page."""
        return self._page(_SYSTEM, place, limit, kinds, tenants)

    def of_tenant(
        self, place: int, limit: int, tenant_id: int, kinds: frozenset[EventKind]
    ) -> Page:
        """Events of one tenant."""
        return self._page(Scope.tenant(tenant_id), place, limit, kinds, (tenant_id,))

    def _page(
        self,
        scope: Scope,
        place: int,
        limit: int,
        kinds: frozenset[EventKind],
        tenants: Collection[int],
    ) -> Page:
        filters = EventFilters(kinds=kinds)
        page = self._log.events(scope, filters, cursor=str(place), limit=limit)
        concerned = [event for event in page.events if event.tenant_id in tenants]
        self._learn(concerned)
        events = tuple(told(one, self._origins.get(one.message_id, _NONE)) for one in concerned)
        while len(self._origins) > _REMEMBERED:
            self._origins.popitem(last=False)
        return Page(events=events, place=int(page.cursor), more=page.more)

    def _learn(self, events: Iterable[EventRecord]) -> None:
        missing: set[int] = set()
        for event in events:
            if event.kind is EventKind.ACCEPTED:
                self._origins[event.message_id] = origin_of(event.data)
            elif event.message_id not in self._origins:
                missing.add(event.message_id)
        missing -= self._origins.keys()
        if missing:
            found = self._log.acceptances(missing)
            for message_id in missing:
                self._origins[message_id] = origin_of(found.get(message_id, {}))
