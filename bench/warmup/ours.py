"""Ours: the product's own planner, flows, throttles, warmup and judge, in virtual time.

Nothing of the product is imitated but what needs a network or a disk: connections are seconds of work (way.py),
its records are in memory (records.py). Mail that leaves an address between two looks is one reservation instead
of many: what the product looks at every second is looked at every quarter of an hour here, and every three hours
where a receiver has nothing to say. Answers that slow it down are heard one by one, each at its own moment.

    tick    what the product does by itself: throttles come back, idle budgets return, days are judged
    _serve  a turn of one key of the backlog: planned, reserved, offered to the receiver, its answers heard
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.settings import Warmup as WarmupSettings
from appliance.run.warmup_days import WarmupDays, columns
from mta.directory import Directory
from mta.egress import EgressEntry, EgressPlan, Member, Pool
from mta.message import Egress
from mta.scheduling.backlog import Backlog
from mta.scheduling.blocked import Blocked
from mta.scheduling.planner import Planner
from mta.scheduling.regulator import Regulator
from mta.scheduling.results import treatment_of
from mta.shaping.throttles import Throttles
from mta.spool.store import Cursor, QueueKey
from mta.status import TrafficClass
from mta.warmup.day import zone_of
from mta.warmup.ledger import Ledger, Names
from mta.warmup.model import Wait, WarmupState, warmup_provider
from warmup.queue import TENANT, Queue, attempt_of
from warmup.records import Budgets, Days
from warmup.way import Way, site_of
from warmup.world import BEFORE_RCPT

if TYPE_CHECKING:
    from mta.scheduling.backlog import KeyState
    from mta.scheduling.planner import Option
    from mta.shaping.matching import ShapingBook
    from mta.warmup.schedule import Schedule
    from warmup.figures import Figures, Receiver, Saying
    from warmup.queue import Entry
    from warmup.tally import Tally
    from warmup.world import Taken, World

_BULK: Final = TrafficClass.BULK
_EVEN: Final = 2.0  # the last quarter of a day opens the reserve too: nearly twice as fast
_DAY_MINUTES: Final = clock.DAY // clock.MINUTE


class Ours:
    """The product as a sender."""

    def __init__(
        self,
        figures: Figures,
        seed: int,
        world: World,
        tally: Tally,
        *,
        book: ShapingBook,
        schedule: Schedule,
    ) -> None:
        self._world, self._tally, self._book = world, tally, book
        self._now, self._tick = figures.start, figures.run.tick_seconds * clock.SECOND
        self._quiet = figures.run.quiet_seconds * clock.SECOND
        self._queue = Queue(figures, seed, joins=clock.HOUR, keeps=False)
        self._names = [f"egress-{number}" for number in range(1, figures.run.addresses + 1)]
        self._providers = frozenset(schedule.providers)
        settings, zone, budgets = WarmupSettings(), zone_of("UTC"), Budgets()
        self.days = Days(self._names, schedule, figures.start, zone)
        self._directory = self._new_directory()
        self._ledger = Ledger(
            store=budgets,
            plans=lambda: self._directory.warmup,
            steady=lambda: self._now,
            zone=zone,
            portion=settings.portion,
            processes=1,
            names=Names(address=str, provider=str),
        )
        self._throttles = Throttles(lambda: book)
        self._regulator = Regulator(
            book=lambda: book, throttles=self._throttles, ledger=self._ledger
        )
        self._planner = Planner(
            directory=lambda: self._directory,
            throttles=self._throttles,
            ledger=self._ledger,
            unreachable=self._regulator.unreachable,
            lane_is_full=lambda egress, site, _key: self._ways[site, egress].room(self._now) < 1,
        )
        self._judges = WarmupDays(
            self.days,  # type: ignore[arg-type]
            budgets,  # type: ignore[arg-type]
            zone=zone,
            idle_days=settings.idle_days,
            has_feedback_loop=self._has_feedback_loop,
            now=lambda: self._now,
        )
        self._backlog = Backlog(lambda _: 1)
        self._receivers = {one.domain: one for one in figures.receiver}
        self._sites = {one.name: site_of(one) for one in figures.receiver}
        self._ways = {
            (one.name, name): self._way(name, one)
            for one in figures.receiver
            for name in self._names
        }
        for one in figures.receiver:
            self._backlog.note(_key(one), figures.start)

    @property
    def waiting(self) -> int:
        """Who was never tried."""
        return sum(entry.count for entry in self._queue.fresh.values())

    def stages(self) -> dict[tuple[str, str], int]:
        """Of the warmups in force."""
        return {
            name: one.stage
            for name, one in self.days.standing.items()
            if one.state is not WarmupState.WARM
        }

    async def judge(self, now: int) -> None:
        """Judge the days that are over; nothing is sent."""
        self._now = self.days.now = now
        await self._judged()

    # -- what goes on by itself ----------------------------------------------

    async def tick(self, now: int) -> None:
        """One step of the clock."""
        self._now = self.days.now = now
        for address, receiver in self._world.complaints(now):
            self._tally.add(receiver, now, "complained")
            self._count(address, receiver, ("complained",), 1)
        await self._judged()
        self._recover(now)
        if (self._backlog.next_due() or now + 1) > now:
            return
        await self._ledger.step(now)
        self._backlog.wake(now)
        while (state := self._backlog.pop()) is not None:
            await self._serve(state, now)

    def _recover(self, now: int) -> None:
        """Let throttles come back, each at its moment."""
        moved = False
        while (at := self._throttles.next_change_at) <= now:
            moved = bool(self._throttles.step(at)) or moved
        if moved:
            self._backlog.open(lambda place: place[0] == "zone", now)

    async def _judged(self) -> None:
        before = self.days.changes
        await self._judges.step()
        if self.days.changes != before:
            self._directory = self._new_directory()
            self._backlog.open(lambda _: True, self._now)

    # -- one key -------------------------------------------------------------

    async def _serve(self, state: KeyState, now: int) -> None:
        """One turn of a key; one that has more waits for its next turn."""
        key, receiver = state.key, self._receivers[state.key.domain]
        entry = self._queue.due(receiver, now)
        if entry is None:
            self._backlog.page_read(state, None, self._queue.next_due(receiver))
            return
        found = await self._page(key, receiver, entry, now)
        if found is None:
            self._backlog.page_read(state, Cursor(), 0)
            return
        self._backlog.page_read(state, None, now)
        until = max(found.until, self._next_look(receiver, now))
        self._backlog.park(key, replace(found, until=until))

    async def _page(
        self, key: QueueKey, receiver: Receiver, entry: Entry, now: int
    ) -> Blocked | None:
        """Send a part of an entry from one address; or what keeps it back."""
        site = self._sites[receiver.name]
        zone = self._regulator.zone_of(site)
        found = self._planner.place(entry.recipient, key, site, zone, now)
        if isinstance(found, Blocked):
            return found
        wait = await self._send(self._ways[receiver.name, found.egress.name], entry, found, now)
        if wait is None:
            return None
        return Blocked(self._planner.warmup_place(key, zone), wait.until, wait.why)

    def _next_look(self, receiver: Receiver, now: int) -> int:
        """Where all is quiet mail goes evenly, and looks are joined; the last one is just before midnight."""
        ways = [self._ways[receiver.name, name] for name in self._names]
        midnight = now - now % clock.DAY + clock.DAY
        until = min(now + self._quiet, max(now + self._tick, midnight - self._tick))
        if any(way.is_over() or not way.is_quiet(now) for way in ways):
            until = now + self._tick
        for way in ways:
            way.joined = until - now - self._tick
        return until

    async def _send(self, way: Way, entry: Entry, option: Option, now: int) -> Wait | None:
        """A part of an entry from one address, as much as the flow lets go."""
        count, name = min(entry.count, option.room, way.room(now)), way.egress.name
        reservation = None
        if option.warms:
            found = await self._ledger.reserve(name, option.warms, _BULK, count, now)
            if isinstance(found, Wait):
                return found
            reservation, count = found, found.count
        self._regulator.unreachable.probe(name, way.site.key, now)
        minutes = self._minutes(way, option, count, now)
        taken = self._world.offer(name, way.receiver, count, way.at, minutes)
        entry.count -= taken.heard
        way.went(taken.heard)
        if taken.heard:
            self._regulator.unreachable.worked(name, way.site.key)
            self._took(way, entry, taken, now)
        sent = taken.heard
        if taken.heard < count:
            sent += self._refused(way, entry, count - taken.heard, now)
        if reservation is not None:
            self._ledger.give_back(reservation, count - sent, now)
        return None

    def _minutes(self, way: Way, option: Option, count: int, now: int) -> float:
        """Over how long they are spread: what opens evenly goes so, else as fast as the flow lets them."""
        passed, way.served_at = (now - way.served_at) / clock.MINUTE, now
        plan = self._ledger.standing(way.egress.name, option.warms)
        is_even = plan is not None and count <= _EVEN * plan.limit * passed / _DAY_MINUTES
        return max(1.0, way.minutes(count), passed if is_even else 0.0)

    def _took(self, way: Way, entry: Entry, taken: Taken, now: int) -> None:
        name = way.receiver.name
        self._tally.add(name, now, "sent", taken.delivered)
        self._tally.add(name, now, "delivered", taken.delivered)
        self._count(way.egress.name, name, ("delivered",), taken.delivered)
        for said, count in taken.of_recipients:
            self._hear(way, entry, said, now, count)

    def _refused(self, way: Way, entry: Entry, count: int, now: int) -> int:
        """No more is taken: those in flight learn it, then shaping has its say. Returns RCPTs sent."""
        sent, pace, way.refused_at = 0, way.look(now), now
        way.catch_up(now)
        while count:
            flying = min(count, way.flying)
            said = self._world.refuse(way.egress.name, way.receiver, flying, way.at)
            entry.count -= flying
            count -= flying
            way.went(flying)
            if said.phase in BEFORE_RCPT:  # no connection: the site is left alone for a time
                words = said.answer.line()
                self._regulator.unreachable.failed(way.egress.name, way.site, words, way.at)
                way.close()
            else:
                sent += flying
            for _ in range(flying):
                self._hear(way, entry, said, way.at)
            if way.is_over() or way.look(now) != pace or way.is_halted(way.at):
                break
        return sent

    def _hear(self, way: Way, entry: Entry, said: Saying, now: int, count: int = 1) -> None:
        """An answer that was no yes. What is said of so many recipients, who slow nobody, is heard once."""
        attempt = attempt_of(way.receiver, way.egress.name, said, now)
        heard = self._regulator.heard(
            way.lane, self._queue.message, [entry.recipient], attempt, now
        )[0]
        treatment = treatment_of(heard, way.lane.zone.provider.retry)
        recorded, again = self._queue.settle(way.receiver, entry, attempt, count, treatment)
        if heard.next_address and again is not None:
            self._planner.avoid(again, _key(way.receiver), way.egress.name)
        name, is_block = way.receiver.name, said is way.receiver.block
        self._tally.refused(name, now, recorded, count, is_block=is_block)
        category = recorded.verdict.category if recorded.verdict is not None else ""
        self._count(way.egress.name, name, columns(recorded.decision.event, category), count)

    def _count(self, egress: str, receiver: str, names: tuple[str, ...], count: int) -> None:
        provider = warmup_provider(receiver, self._providers)
        if names and count:
            self.days.count((egress, provider), self._now, names, count)

    # -- the box -------------------------------------------------------------

    def _has_feedback_loop(self, provider: str) -> bool:
        found = self._book.providers.get(provider)
        return found is not None and found.feedback_loop

    def _new_directory(self) -> Directory:
        entries = {
            name: EgressEntry(egress=_egress(name, number))
            for number, name in enumerate(self._names, 1)
        }
        pool = Pool(name="main", members=tuple(Member(egress=name) for name in self._names))
        plan = EgressPlan(entries=entries, pools={"main": pool}, default_pool="main")
        return Directory(generation=self.days.changes, egress=plan, warmup=self.days.plans())

    def _way(self, name: str, receiver: Receiver) -> Way:
        egress = self._directory.egress.entries[name].egress
        return Way(egress, receiver, self._sites[receiver.name], self._regulator, self._tick)


def _egress(name: str, number: int) -> Egress:
    return Egress(name=name, address=f"192.0.2.{number}", helo=f"{name}.sender.example", ipv6=False)


def _key(receiver: Receiver) -> QueueKey:
    return QueueKey(TENANT, str(_BULK), receiver.domain)
