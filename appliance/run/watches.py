"""Watches: who waits for news, and what is new for each; without a store.

For each tenant it is kept when a topic of its changed last, once for all who watch: news cost one entry a
topic and tenant, not one a watcher, and a watch is a number, however slowly it is read. A mark is the
number with the life of the process, so that a page, or a browser that was away, learns what it missed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from admin_ui.desks import OF_THE_BOX, Topic
from appliance.core.marks import EVERYBODY
from appliance.core.scope import BOX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.run.topics import Told

MOST_TENANTS: Final = (
    5000  # beyond, what is older than now is forgotten: who asks for it is told all
)
_ALL: Final = frozenset(Topic)
_OF_A_TENANT: Final = _ALL - OF_THE_BOX


class Changes:
    """When each topic changed last, of the box and of each tenant, in numbers that rise."""

    def __init__(self, most_tenants: int = MOST_TENANTS) -> None:
        self.last = 0
        self._most = most_tenants
        self._floor = 0  # nothing is known of what was before
        self._box: dict[Topic, int] = {}
        self._everybody: dict[Topic, int] = {}
        self._of: dict[int, dict[Topic, int]] = {}

    def begin(self) -> None:
        """Nothing is known of what was until now."""
        self.last += 1
        self._floor = self.last

    def note(self, told: Told) -> None:
        """Take in what changed."""
        self.last += 1
        for tenant_id, topics in told.items():
            news = dict.fromkeys(topics, self.last)
            self._box |= news
            if tenant_id == EVERYBODY:
                self._everybody |= news
            elif tenant_id != BOX:
                self._of.setdefault(tenant_id, {}).update(news)
        if len(self._of) > self._most:
            self._of.clear()
            self._floor = self.last

    def since(self, tenant_id: int | None, seen: int) -> frozenset[Topic]:
        """What changed behind a number, for a tenant or for who sees everything."""
        heard = _ALL if tenant_id is None else _OF_A_TENANT
        if seen < self._floor:
            return heard
        if tenant_id is None:
            return _behind(self._box, seen)
        own = _behind(self._of.get(tenant_id, {}), seen)
        return (own | _behind(self._everybody, seen)) & heard


def _behind(when: Mapping[Topic, int], seen: int) -> frozenset[Topic]:
    return frozenset(topic for topic, number in when.items() if number > seen)


class Watches:
    """All who watch."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.are_over = False
        self._life = secrets.token_hex(4)
        self._watching: Counter[int | None] = Counter()  # by tenant; None = who sees everything
        self._bells: dict[int | None, asyncio.Event] = {}

    @property
    def number(self) -> int:
        """How many watch."""
        return self._watching.total()

    @property
    def has_system(self) -> bool:
        """Whether somebody watches who sees everything."""
        return self._watching[None] > 0

    def mark_of(self, number: int) -> str:
        """A place in the changes that outlives a connection, not the process."""
        return f"{self._life}.{number}"

    def open(self, tenant_id: int | None, since: str) -> OneWatch:
        """Somebody watches; `leave` when they do not any more."""
        self._watching[tenant_id] += 1
        return OneWatch(self, tenant_id, self._place_of(since))

    def leave(self, watch: OneWatch) -> None:
        """They do not watch any more."""
        self._watching[watch.tenant_id] -= 1
        if self._watching[watch.tenant_id] <= 0:
            del self._watching[watch.tenant_id]
            self._bells.pop(watch.tenant_id, None)

    def note(self, told: Told) -> None:
        """Tell all whom it concerns."""
        if not told:
            return
        self.changes.note(told)
        everybody = told.get(EVERYBODY, set()) - OF_THE_BOX
        for tenant_id in list(self._bells):
            if tenant_id is None or everybody or tenant_id in told:
                self._ring(tenant_id)

    def close(self) -> None:
        """Nothing will come any more."""
        self.are_over = True
        for tenant_id in list(self._bells):
            self._ring(tenant_id)

    async def wait(self, tenant_id: int | None, timeout: float) -> None:
        """Until something is told, the time is up, or it is over."""
        bell = self._bells.setdefault(tenant_id, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await bell.wait()

    def _ring(self, tenant_id: int | None) -> None:
        self._bells.pop(tenant_id).set()  # who waits next makes a new one

    def _place_of(self, mark: str) -> int:
        if not mark:
            return self.changes.last
        life, _, number = mark.partition(".")
        known = life == self._life and number.isascii() and number.isdecimal() and len(number) < 16
        return int(number) if known else -1


class OneWatch:
    """One of them (admin_ui.desks.Watch)."""

    def __init__(self, watches: Watches, tenant_id: int | None, seen: int) -> None:
        self.tenant_id = tenant_id
        self._watches, self._seen = watches, seen

    @property
    def mark(self) -> str:
        """Up to where it has told."""
        return self._watches.mark_of(self._seen)

    @property
    def is_over(self) -> bool:
        """The process ends."""
        return self._watches.are_over

    async def next(self, timeout: float) -> frozenset[Topic]:
        """What changed; waits until something does, the time is up, or it is over."""
        found = self._take()
        if not found and not self.is_over:
            await self._watches.wait(self.tenant_id, timeout)
            found = self._take()
        return found

    def _take(self) -> frozenset[Topic]:
        changes = self._watches.changes
        found = changes.since(self.tenant_id, self._seen)
        self._seen = changes.last
        return found
