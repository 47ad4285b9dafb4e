"""Dispatcher: brings recipients that are due from rest to the lane of their site.

Fresh messages come from memory when there is room, everything else is read from the store in pages
when it is due. Site and egress are chosen here, at dispatch, never at submission: nothing is bound
to an address that is gone. Promises: memory is bounded by the window; what may not go now (kill
switch, pause, suspended tenant) is parked and goes on by itself when the directory changes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock, tasks
from appliance.core.errors import StoreError
from mta.message import Attempt
from mta.outcome.record import without_connection
from mta.reply import Reply
from mta.scheduling.backlog import Backlog, KeyState
from mta.scheduling.gate import key_closed
from mta.scheduling.lane import Lane
from mta.scheduling.parcel import Parcel, key_of, parcels_of
from mta.spool.store import Cursor
from mta.status import Phase, Scope
from mta.transport.base import RouteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.message import Egress, Message, Recipient
    from mta.scheduling.window import Window
    from mta.spool.batch import Batch
    from mta.spool.shard import Shard
    from mta.spool.store import QueueKey, SpoolStore
    from mta.transport.base import Router, Site

PAGE = 100
"""Recipients of a key read at once."""

KEYS_A_STEP = 16
RESOLVING_AT_ONCE = 100
SITES_KEPT = 100_000
_LONGEST_SLEEP = 60.0
_NO_ROUTE = RouteError(Reply(451, "4.4.3", "the route could not be found out: see the log"))


class Sender(Protocol):
    """Serves lanes (mta.scheduling.sender)."""

    def kick(self, lane: Lane) -> None:
        """There is work in the lane."""

    async def no_route(self, parcel: Parcel, attempt: Attempt) -> None:
        """Record that a parcel could not even be routed."""


class Dispatcher:
    """One shard's scheduler."""

    def __init__(
        self,
        *,
        shard: Shard,
        router: Router,
        egress: Egress,
        directory: Callable[[], Directory],
        window: Window,
    ) -> None:
        self._shard, self._router, self._egress = shard, router, egress
        self._directory, self._window = directory, window
        self.backlog = Backlog(self.weight_of)
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.sender: Sender | None = None  # set once by the wiring: the two know each other
        self._sites: dict[str, Site] = {}
        self._resolving: dict[str, list[Parcel]] = {}
        self._resolvers = asyncio.Semaphore(RESOLVING_AT_ONCE)
        self._news = asyncio.Event()
        self._draining = False

    # -- what comes in ----------------------------------------------------

    async def load(self) -> int:
        """Take over what waits in the store; returns how many recipients."""
        found = await self._shard.call(lambda store, _: store.waiting())
        self.backlog.load(found)
        self._news.set()
        return sum(entry.count for entry in found)

    def fresh(self, message: Message, recipients: list[Recipient], content: bytes) -> None:
        """A message that has just become durable: from memory to its lanes if there is room."""
        now = clock.now_ms()
        by_domain: dict[str, list[Recipient]] = defaultdict(list)
        for recipient in recipients:
            if recipient.status.is_waiting:
                by_domain[recipient.domain].append(recipient)
        for group in by_domain.values():
            key = key_of(group[0])
            if group[0].due_at > now or not self._takes(key, group, now):
                self.rest(key, group[0].due_at)
                continue
            kept = content if self._window.admits(content) else None
            for parcel in parcels_of(message, group, kept):
                self._take(parcel)

    @property
    def in_memory(self) -> int:
        """Recipients that are ready or being sent."""
        return len(self._window)

    def rest(self, key: QueueKey, due_at: int) -> None:
        """Something waits at rest in the store."""
        self.backlog.note(key, due_at)
        self._news.set()

    def rewind(self, key: QueueKey, due_at: int) -> None:
        """Something at rest became due out of order."""
        self.backlog.rewind(key, due_at)
        self._news.set()

    def released(self, recipients: list[Recipient]) -> None:
        """Recipients left memory; there is room for others."""
        self._window.drop(recipients)
        counts: dict[QueueKey, int] = defaultdict(int)
        for recipient in recipients:
            counts[key_of(recipient)] += 1
        for key, count in counts.items():
            self.backlog.released(key, count)
        self._news.set()

    def directory_changed(self) -> None:
        """Pauses, the kill switch or tenants changed: look at everything that was kept back."""
        self.backlog.unpark(lambda _: True)
        # Sites that do not come from DNS hold until the directory changes.
        self._sites = {d: site for d, site in self._sites.items() if site.expires_at}
        for lane in list(self.lanes.values()):
            lane.wake_all()
            self._kick(lane)
        self._news.set()

    def weight_of(self, tenant_id: int) -> int:
        """A tenant's share."""
        tenant = self._directory().tenants.get(tenant_id)
        return 1 if tenant is None else tenant.weight

    def stop(self) -> None:
        """Begin no more."""
        self._draining = True
        self._news.set()

    # -- from rest ---------------------------------------------------------

    async def wait(self) -> None:
        """Sleep until there is news or the next key is due."""
        due = self.backlog.next_due()
        pause = _LONGEST_SLEEP if due is None else (due - clock.now_ms()) / 1000
        if pause <= 0 and self._window.room:
            return
        try:
            async with asyncio.timeout(max(0.01, min(pause, _LONGEST_SLEEP))):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def step(self) -> bool:
        """Read pages of keys that are due; whether there may be more at once."""
        now = clock.now_ms()
        self.backlog.wake(now)
        states = self._open_keys() if not self._draining else []
        if not states:
            return False
        asked = [(state, state.cursor) for state in states]

        def read(store: SpoolStore, _: Batch) -> list[_Page]:
            return [_read_page(store, state, cursor, now) for state, cursor in asked]

        try:
            pages = await self._shard.call(read)
        except StoreError:
            for state in states:
                self.backlog.not_read(state)
            raise
        for page in pages:
            self._page(page)
        return self._window.room > 0

    def _open_keys(self) -> list[KeyState]:
        directory = self._directory()
        states: list[KeyState] = []
        while len(states) < KEYS_A_STEP and self._window.room > PAGE * len(states):
            state = self.backlog.pop()
            if state is None:
                break
            if key_closed(directory, state.key):
                state.reading = False
                self.backlog.park(state.key)
                continue
            states.append(state)
        return states

    def _page(self, page: _Page) -> None:
        last = page.recipients[-1] if page.more else None
        cursor = Cursor(last.due_at, last.message_id, last.n) if last else None
        by_message: dict[int, list[Recipient]] = defaultdict(list)
        for recipient in page.recipients:
            if not self._window.has(recipient):
                by_message[recipient.message_id].append(recipient)
        for message_id, group in by_message.items():
            if message_id not in page.messages:
                continue  # a recipient without its message: `pillarbox spool check` reports it
            for parcel in parcels_of(page.messages[message_id], group, None):
                self._take(parcel)
        self.backlog.page_read(page.state, cursor, page.later or 0)

    # -- to the lane -------------------------------------------------------

    def _takes(self, key: QueueKey, group: list[Recipient], now: int) -> bool:
        if self._draining or self._window.room < len(group):
            return False
        if any(self._window.has(recipient) for recipient in group):
            return False  # a person is changing it, the moment it became durable
        if key_closed(self._directory(), key):
            return False
        state = self.backlog.state_of(key)
        # What is due already goes first; what is due later keeps nobody waiting.
        return state is None or not (state.parked or 0 < state.due_at <= now)

    def _take(self, parcel: Parcel) -> None:
        self._window.add(parcel)
        self.backlog.took(parcel.key, len(parcel.recipients))
        self.route(parcel)

    def route(self, parcel: Parcel) -> None:
        """Put a parcel into the lane of its site, asking DNS first where that is not known."""
        domain = parcel.key.domain
        site = self._sites.get(domain)
        if site is not None and (not site.expires_at or site.expires_at > clock.now_ms()):
            self._enter(parcel, site)
            return
        waiting = self._resolving.get(domain)
        if waiting is not None:
            waiting.append(parcel)
            return
        self._resolving[domain] = [parcel]
        tasks.spawn(self._resolve(domain), name=f"route {domain}")

    async def _resolve(self, domain: str) -> None:
        started = clock.now_ms()
        # A crash of the look-up must not keep the domain's mail in memory for ever.
        found = await tasks.guard(self._look_up(domain), name=f"route {domain}") or _NO_ROUTE
        parcels = self._resolving.pop(domain)
        if isinstance(found, RouteError):
            for parcel in parcels:
                await self._unroutable(parcel, found, started)
            return
        if len(self._sites) >= SITES_KEPT:
            self._sites.clear()
        self._sites[domain] = found
        for parcel in parcels:
            self._enter(parcel, found)

    async def _look_up(self, domain: str) -> Site | RouteError:
        try:
            async with self._resolvers:
                return await self._router.site_of(domain)
        except RouteError as error:
            return error

    async def _unroutable(self, parcel: Parcel, error: RouteError, started: int) -> None:
        attempt = Attempt(
            results=without_connection(
                parcel.recipients, error.reply, Phase.ROUTE, Scope.RECIPIENT
            ),
            host="",
            address="",
            egress="",
            tls="",
            steps=(),
            started_at=started,
            ended_at=clock.now_ms(),
        )
        if self.sender is not None:
            await self.sender.no_route(parcel, attempt)

    def _enter(self, parcel: Parcel, site: Site) -> None:
        place = (self._egress.name, site.key)
        lane = self.lanes.get(place)
        if lane is None:
            lane = self.lanes[place] = Lane(self._egress, site, self.weight_of)
        recipients, held = parcel.recipients, parcel.held_bytes
        carrier = lane.push(parcel)
        if carrier is not parcel:
            self._window.joined(recipients, carrier, held)
        if lane.is_full:
            self.backlog.park(parcel.key)
            lane.parked.add(parcel.key)
        self._kick(lane)

    def lane_drained(self, lane: Lane) -> None:
        """A full lane has room again, or an empty one can be forgotten."""
        if lane.parked:
            parked, lane.parked = lane.parked, set()
            self.backlog.unpark(lambda key: key in parked)
            self._news.set()
        if lane.is_empty:
            self.lanes.pop((lane.egress.name, lane.site.key), None)

    def _kick(self, lane: Lane) -> None:
        if self.sender is not None:
            self.sender.kick(lane)


class _Page:
    """A page of one key as read from the store."""

    __slots__ = ("later", "messages", "more", "recipients", "state")

    def __init__(
        self,
        state: KeyState,
        recipients: list[Recipient],
        messages: dict[int, Message],
        later: int | None,
    ) -> None:
        self.state, self.recipients, self.messages, self.later = state, recipients, messages, later
        self.more = later is None  # the page was full: read on behind its last recipient


def _read_page(store: SpoolStore, state: KeyState, cursor: Cursor, now: int) -> _Page:
    recipients = store.due(state.key, now, cursor, PAGE)
    messages: dict[int, Message] = {}
    for recipient in recipients:
        if recipient.message_id not in messages:
            message = store.message(recipient.message_id)
            if message is not None:
                messages[recipient.message_id] = message
    later = store.later(state.key, now) if len(recipients) < PAGE else None
    return _Page(state, recipients, messages, later)
