"""Dispatcher: brings recipients that are due from rest to the lane of their site.

Fresh messages come from memory when there is room, everything else is read from the store in pages
when it is due. Site and egress are chosen here, at dispatch, never at submission: nothing is bound
to an address that is gone. Promises: memory is bounded by the window; what may not go now (kill
switch, pause, warmup, throttle, a site that does not answer) stays at rest, parked at the place that it
waits for, and goes on by itself. Mail whose life ends while it waits so is given up in words.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from appliance.core import clock
from mta.message import Attempt
from mta.outcome.record import plain, without_connection
from mta.scheduling.backlog import Backlog, KeyState
from mta.scheduling.blocked import PACE, WARMUP, ZONE, Blocked, lane_place
from mta.scheduling.gate import (
    Leg,
    key_closed,
    key_stop,
    parcel_pause,
    pause_stop,
    shut_places,
)
from mta.scheduling.lanes import Lanes
from mta.scheduling.page import read_page
from mta.scheduling.parcel import Parcel, key_of, parcels_of
from mta.scheduling.planner import Planner
from mta.scheduling.sites import Sites
from mta.spool.store import BEFORE_ALL, Cursor
from mta.status import EventKind, Phase, Scope, Status
from mta.transport.base import RouteError
from mta.transport.route import INBOUND_KEY, OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.message import Message, Recipient
    from mta.scheduling.blocked import Place
    from mta.scheduling.colleagues import Results, Sender
    from mta.scheduling.lane import Lane
    from mta.scheduling.page import Page
    from mta.scheduling.planner import Option
    from mta.scheduling.regulator import Regulator
    from mta.scheduling.window import Window
    from mta.shaping.model import Zone
    from mta.spool.batch import Batch
    from mta.spool.shard import Shard
    from mta.spool.store import QueueKey, SpoolStore, Waiting
    from mta.transport.base import Router, Site
    from mta.warmup.model import Wait

PAGE = 100
"""Recipients of a key read at once."""

KEYS_A_STEP = 16
LOOKS_A_STEP = 1000
"""Keys that one step may find closed before it lets others run."""

_LONGEST_SLEEP = 60.0


class Dispatcher:
    """One shard's scheduler."""

    def __init__(
        self,
        *,
        shard: Shard,
        router: Router,
        regulator: Regulator,
        directory: Callable[[], Directory],
        window: Window,
        overflows: bool = False,
    ) -> None:
        """`overflows`: what no warmup has room for goes to the smarthost."""
        self._shard, self._regulator = shard, regulator
        self._directory, self._window, self._overflows = directory, window, overflows
        self.backlog = Backlog(self.weight_of)
        self.lanes = Lanes(regulator, window, self.weight_of)
        self.planner = Planner(
            directory=directory,
            throttles=regulator.throttles,
            ledger=regulator.ledger,
            unreachable=regulator.unreachable,
            lane_is_full=self.lanes.is_full,
        )
        self.sender: Sender | None = None  # set once by the wiring: they know each other
        self.results: Results | None = None
        self.sites = Sites(router, self._found)
        self._passed_over: dict[QueueKey, Blocked] = {}  # where a pause keeps some back
        self._news = asyncio.Event()
        self._draining = False

    # -- what comes in ----------------------------------------------------

    async def load(self) -> int:
        """Take over what waits in the store; returns how many recipients.

        Slice by slice: meanwhile mail is taken and sent.
        """
        count, after = 0, BEFORE_ALL
        while found := await self._shard.call(partial(_waiting, after)):
            self.backlog.load(found, clock.now_ms())
            self._news.set()
            count, after = count + sum(entry.recipients for entry in found), found[-1].key
        return count

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
        if self.backlog.has_due(clock.now_ms()):  # a turn in vain is 70 calls of Python
            self._news.set()

    def directory_changed(self) -> None:
        """Pauses, the kill switch, addresses or tenants changed: look at what was kept back."""
        now = clock.now_ms()
        passed_over, self._passed_over = self._passed_over, {}
        for key in passed_over:
            self.rewind(key, now)
        shut = shut_places(self._directory(), now)
        self.reopen(lambda place: place not in shut)
        self.sites.directory_changed(ipv6=self._directory().egress.has_ipv6)
        for lane in self.lanes:
            if lane.site.key != INBOUND_KEY and not self.planner.is_usable(lane.egress, now):
                self._retire(lane)
            lane.wake_all()
            self._kick(lane)

    def reshaped(self) -> None:
        """Limits or throttles changed: look at what they kept back, and whose receivers are whose now."""
        self.reopen(lambda place: place[0] in (ZONE, PACE))
        for lane in self.lanes:
            if self.zone_of(lane.site).key != lane.zone.key:
                self._retire(lane)
                lane.wake_all()

    def _retire(self, lane: Lane) -> None:
        """Its egress or its zone is not what it was: plan its mail anew."""
        self.lanes.retire(lane)
        self.vacate(lane)

    def vacate(self, lane: Lane) -> None:
        """Choose anew for everything that stands in a lane."""
        for parcel in lane.take_all():
            self.left(lane, parcel)
            self.route(parcel)
        self.lane_drained(lane)

    def reopen(self, wanted: Callable[[Place], bool]) -> None:
        """What is waited for at these places may have come."""
        self.backlog.open(wanted, clock.now_ms())
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
        states = self._open_keys(now) if not self._draining else []
        try:
            with self._window.reading():
                for page in await self._read(states, now):
                    self._page(page)
                    await asyncio.sleep(0)  # a page is some milliseconds: others have their turn
        finally:
            for state in states:
                if state.reading:  # it could not be read, or something crashed over it
                    self.backlog.not_read(state)
        return self._window.room > 0 and (bool(states) or self._has_more())

    async def _read(self, states: list[KeyState], now: int) -> list[Page]:
        if not states:
            return []
        asked = [(state, state.cursor, self._page_size(state.key, now)) for state in states]

        def read(store: SpoolStore, _: Batch) -> list[Page]:
            return [read_page(store, state, cursor, now, size) for state, cursor, size in asked]

        return await self._shard.call(read)

    def _has_more(self) -> bool:
        """Whether keys are due that a step of nothing but closed ones did not get to."""
        return self.backlog.has_ready and not self._draining

    def _page_size(self, key: QueueKey, now: int) -> int:
        """How many of a key are worth reading: no hundred for the one that there is room for.

        Where there is none, one: it may be due to be given up, and else finds its place to wait.
        """
        site = self.site_known(key.domain)
        if site is None:
            return PAGE
        room = self.planner.room(key, site, self.zone_of(site), now)
        if isinstance(room, Blocked):
            return PAGE if self._goes_over(room) else 1
        return max(1, min(PAGE, room))

    def _open_keys(self, now: int) -> list[KeyState]:
        directory = self._directory()
        states: list[KeyState] = []
        for _ in range(LOOKS_A_STEP):
            if len(states) >= KEYS_A_STEP or self._window.room <= PAGE * len(states):
                break
            state = self.backlog.pop()
            if state is None:
                break
            stop = key_stop(directory, state.key, now)
            if stop is not None:
                state.reading = False
                self.backlog.park(state.key, stop)
                continue
            states.append(state)
        return states

    def _page(self, page: Page) -> None:
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
        if key_closed(self._directory(), key, now):
            return False
        state = self.backlog.state_of(key)
        # What is due already goes first; what is due later keeps nobody waiting.
        return state is None or not (state.parked or 0 < state.due_at <= now)

    def _goes_over(self, blocked: Blocked) -> bool:
        """Whether the smarthost takes what is blocked so."""
        return self._overflows and blocked.place[0] == WARMUP

    def _take(self, parcel: Parcel) -> None:
        self._window.add(parcel)
        self.backlog.took(parcel.key, len(parcel.recipients))
        self.route(parcel)

    # -- where to ----------------------------------------------------------

    def site_known(self, domain: str) -> Site | None:
        """The site of a domain, as far as it is known without asking anybody."""
        return self.sites.known(domain)

    def zone_of(self, site: Site) -> Zone:
        """What limits and throttles apply to."""
        return self._regulator.zone_of(site)

    def why_waiting(self, recipient: Recipient) -> str:
        """What keeps a waiting recipient back this moment, in words; "" when nothing does."""
        found = self.kept_back(recipient, clock.now_ms())
        return found.why if found is not None else ""

    def kept_back(self, recipient: Recipient, now: int) -> Blocked | None:
        """What keeps a waiting recipient back; None when nothing does."""
        key = key_of(recipient)
        stop = key_stop(self._directory(), key, now)
        if stop is not None or recipient.due_at > now:
            return stop
        blocked = self.backlog.blocked(key)
        if blocked is not None:
            return blocked
        return None if self._window.has(recipient) else self._passed_over.get(key)

    def blocked(self) -> list[tuple[Blocked, int]]:
        """What is waited for, and by how many keys."""
        return self.backlog.places()

    def route(self, parcel: Parcel, domain: str = "") -> None:
        """Put a parcel into a lane of its site, asking DNS first where that is not known."""
        if not domain and parcel.is_mixed:  # who shared a site then may have another by now
            for each in (parcel, *self._window.part(parcel)):
                self.route(each)
            return
        domain = domain or parcel.destination
        site = self.sites.known(domain)
        if site is None:
            self.sites.ask(domain, parcel)
        else:
            self._plan(parcel, site)

    def _plan(self, parcel: Parcel, site: Site) -> None:
        """Choose the egress; what finds none stays at rest."""
        if not parcel.recipients:  # a person took them out while DNS was asked
            return
        zone, now = self.zone_of(site), clock.now_ms()
        if self.keeps_back(parcel, Leg(site.name, zone.provider.name), now):
            return
        most = zone.provider.limits.recipients_per_message
        if len(parcel.recipients) > most:
            for other in self._window.cut(parcel, most):
                self._plan(other, site)
        found = self.planner.place(parcel.recipients[0], parcel.key, site, zone, now)
        if not isinstance(found, Blocked):
            self._enter(parcel, site, found)
        elif self._goes_over(found) and not site.is_smarthost:
            self.route(parcel, OVERFLOW)
        else:
            self.put_aside(parcel, found)

    def keeps_back(self, parcel: Parcel, leg: Leg, now: int) -> bool:
        """Whether a pause covers this message; then it stays at rest until the pauses change."""
        pause = parcel_pause(self._directory(), parcel, leg, now)
        if pause is None:
            return False
        for key in {key_of(recipient) for recipient in parcel.recipients}:
            self._passed_over[key] = pause_stop(pause)
            self.backlog.pass_over(key)
        self._window.drop_content(parcel)
        self.released(parcel.recipients)
        return True

    def put_aside(self, parcel: Parcel, blocked: Blocked) -> None:
        """Let a parcel go back to rest, at the place that it waits for."""
        now = clock.now_ms()
        over = [r for r in parcel.recipients if r.expires_at <= now]
        if over and self.results is not None:
            words = f"given up after waiting: {blocked.why}"
            ends = [plain(r, Status.EXPIRED, EventKind.EXPIRED, words, now) for r in over]
            self.results.settle(over, ends)
        self._window.drop_content(parcel)
        rest = [r for r in parcel.recipients if r.expires_at > now]
        self.released(rest)
        for recipient in rest:
            key = key_of(recipient)
            self.rewind(key, recipient.due_at)
            self.backlog.park(key, blocked)

    def replan(self, wanted: Callable[[Lane, Parcel], bool]) -> int:
        """Take matching parcels out of their lanes and choose anew; how many that was."""
        return sum(self._replan(lane, wanted) for lane in self.lanes)

    def _replan(self, lane: Lane, wanted: Callable[[Lane, Parcel], bool]) -> int:
        taken = lane.take_where(lambda parcel: wanted(lane, parcel))
        for parcel in taken:
            self.left(lane, parcel)
            self.route(parcel)
        if taken:
            self.lane_drained(lane)
        return len(taken)

    def plan_again(self, parcel: Parcel, lane: Lane, wait: Wait) -> None:
        """A warming egress has no room after all: another one, or wait."""
        now = clock.now_ms()
        found = self.planner.place(parcel.recipients[0], parcel.key, lane.site, lane.zone, now)
        if isinstance(found, Blocked):
            self.route(parcel)
        elif found.egress.name != lane.egress.name:
            self._enter(parcel, lane.site, found)
        else:
            place = self.planner.warmup_place(parcel.key, lane.zone)
            self.put_aside(parcel, Blocked(place, max(wait.until, now + clock.SECOND), wait.why))

    def left(self, lane: Lane, parcel: Parcel) -> None:
        """A parcel left its lane, to be sent or not: nothing is promised for it any more."""
        self._regulator.unreachable.unprobed(lane.egress.name, lane.site.key)
        if parcel.promised:
            self._regulator.ledger.withdraw(lane.egress.name, parcel.warms, parcel.promised)
            parcel.promised = 0

    async def _found(self, parcels: list[Parcel], found: Site | RouteError, asked_at: int) -> None:
        for parcel in parcels:
            if isinstance(found, RouteError):
                await self._unroutable(parcel, found, asked_at)
            else:
                self._plan(parcel, found)

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
        if self.results is not None:
            await self.results.no_route(parcel, attempt)

    def _enter(self, parcel: Parcel, site: Site, option: Option) -> None:
        egress = option.egress
        lane = self.lanes.of(egress, site)
        if lane.zone.key != self.zone_of(site).key:  # a new file put its receiver elsewhere
            self._retire(lane)
            lane = self.lanes.of(egress, site)
        recipients, held = parcel.recipients, parcel.held_bytes
        carrier = lane.push(parcel)
        if carrier is parcel:
            parcel.warms = option.warms
        else:
            self._window.joined(recipients, carrier, held)
        if carrier.warms:
            carrier.promised += len(recipients)
            self._regulator.ledger.promise(egress.name, carrier.warms, len(recipients))
        self._regulator.unreachable.probe(egress.name, site.key, clock.now_ms())
        self._kick(lane)

    def lane_drained(self, lane: Lane) -> None:
        """A full lane has room again, or an empty one can be forgotten."""
        for tenant_id, kind in self.lanes.room_again(lane):
            now = clock.now_ms()
            for pool in ("", *self._directory().egress.pools):
                self.backlog.open_place(lane_place(pool, lane.site.key, tenant_id, kind), now)
            self._news.set()
        self.lanes.forget_empty(lane)

    def _kick(self, lane: Lane) -> None:
        if self.sender is not None:
            self.sender.kick(lane)


def _waiting(after: QueueKey, store: SpoolStore, _: Batch) -> list[Waiting]:
    return store.waiting(after)
