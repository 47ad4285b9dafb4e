"""Sender: serves lanes. Takes the next parcel, sends it on a kept connection, records what was said.

Promises: no new transaction begins while the kill switch is on or a pause covers it, however long its
connection took to open, nor faster or over more connections than the flow of its (egress, zone) allows,
nor without a reservation where the egress is warming; suppression is looked at once more before sending;
content is bounded by the window; at most OUTSTANDING outcomes are not durable yet, which bounds the
doubles a crash can make. A task that crashes costs its parcel an attempt and its lane a pause that
doubles, no more. Never judges an answer and never writes: that is `mta.outcome`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock, ids, tasks
from appliance.core.errors import StoreError
from appliance.core.scope import BOX
from mta.message import Envelope, EnvelopeRecipient, ReturnPathMode
from mta.outcome.record import plain
from mta.scheduling.attempts import CRASHED, connection_was_gone, nowhere
from mta.scheduling.blocked import PACE, SITE, Blocked
from mta.scheduling.concurrency import Concurrency
from mta.scheduling.gate import Leg, key_closed, leg_pause
from mta.scheduling.lane import Hand
from mta.scheduling.parcel import key_of
from mta.scheduling.places import PATIENCE, Places
from mta.status import EventKind, Status
from mta.transport.base import ConnectFailed
from mta.warmup.model import Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mta.directory import Directory
    from mta.message import Attempt, Message
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.lane import Lane
    from mta.scheduling.parcel import Parcel
    from mta.scheduling.regulator import Regulator
    from mta.scheduling.results import Results
    from mta.scheduling.window import Window
    from mta.spool.shard import Shard
    from mta.transport.base import Connection, Transport
    from mta.warmup.portion import Reservation

log = logging.getLogger(__name__)

STORE_PAUSE = clock.SECOND
"""How long a parcel rests whose content the store could not read just now."""

CRASH_PAUSE = 15 * clock.MINUTE
"""How long a parcel rests of which not even the failure could be recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of the process; what holds for a receiver is in config/shaping.toml."""

    max_connections: int
    idle_timeout: float


class Sender:
    """Connections and transactions of one shard."""

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        *,
        shard: Shard,
        dispatcher: Dispatcher,
        transport: Transport,
        results: Results,
        window: Window,
        directory: Callable[[], Directory],
        return_path: Callable[[Message, int | None], str],
        sign: Callable[[Message, bytes], Awaitable[bytes]],
        regulator: Regulator,
        limits: Limits,
    ) -> None:
        self._shard, self._dispatcher, self._transport = shard, dispatcher, transport
        self._results, self._window, self._directory = results, window, directory
        self._return_path, self._sign = return_path, sign
        self._limits = limits
        self._regulator, self._ledger = regulator, regulator.ledger
        self._places = Places(limits.max_connections, regulator.share, self.kick, self.rouse)
        self._at_once = Concurrency(limits.max_connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def connections(self) -> int:
        """Open or opening connections."""
        return self._places.taken

    # -- lanes -------------------------------------------------------------

    def kick(self, lane: Lane) -> bool:
        """There is work in the lane: wake a connection or open another; whether that was done."""
        if self._draining or lane.is_retired or not len(lane):
            return False
        if self._is_stopped(lane):
            return False
        if self._at_once.waits(lane) or lane.wake_idle():
            return True
        if not self._places.take(lane):
            return False
        task = tasks.spawn(self._serve(lane), name=f"lane {lane.site.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def rouse(self, lane: Lane) -> None:
        """Look at the lane as if all its work had just come in."""
        for _ in range(len(lane)):
            if not self.kick(lane):
                break

    async def drain(self) -> None:
        """Finish the transactions that run, begin no others, close all connections."""
        self._draining = True
        for lane in self._dispatcher.lanes:
            lane.wake_all()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def directory_changed(self) -> None:
        """The kill switch or a pause may be over."""
        self.rouse_all()

    def rouse_all(self) -> None:
        """Look at every lane anew."""
        for lane in self._dispatcher.lanes:
            self.rouse(lane)

    async def _serve(self, lane: Lane) -> None:
        """One connection, from before it is opened until after it is closed."""
        hand = Hand()
        lane.hands.add(hand)
        try:
            if await tasks.guard(self._work(lane, hand), name=f"lane {lane.site.key}") is None:
                await self._crashed(lane, hand)
            lane.hands.discard(hand)
            if hand.connection is not None:
                await tasks.guard(hand.connection.close(), name=f"lane {lane.site.key}")
        finally:
            lane.hands.discard(hand)
            self._places.release(lane)
        if lane.is_retired:
            self._dispatcher.vacate(lane)
        self._dispatcher.lane_drained(lane)
        self._places.hand_on(lane)
        self.kick(lane)

    async def _work(self, lane: Lane, hand: Hand) -> bool:
        """Send what there is, then wait for more; whoever needs a connection anew begins anew."""
        while not (self._draining or lane.is_retired) and await self._in_step(lane):
            if self._is_over(lane, hand):
                break
            goes = await self._take_turn(lane, hand)
            if hand.connection is None or not hand.connection.usable:
                break  # a lane that always has work starves no other
            if self._places.wanted_urgently:
                break
            if goes or (not self._places.wanted_by_others(lane) and await self._idle(lane)):
                continue
            break
        return True

    async def _take_turn(self, lane: Lane, hand: Hand) -> bool:
        """Send one parcel, as soon as the process has room for one more; False when there is none."""
        if not len(lane):
            self._places.turned(lane)
            return False
        waited = await self._at_once.enter(lane)
        try:
            now = clock.now_ms()
            if lane.flow.sends_at(now) > now:
                return True  # others of the flow had their turn first
            goes = self._next(lane, hand)
            self._places.turned(lane)
            if waited:
                self.kick(lane)  # for the next one, which nobody has lined up for
            if goes:
                await self._deliver(lane, hand)
                hand.parcel = None
            return goes
        finally:
            self._at_once.leave()

    def _is_over(self, lane: Lane, hand: Hand) -> bool:
        """Whether the connection was closed while it waited, or fewer are allowed by now."""
        if hand.connection is not None and not hand.connection.usable:
            return True
        return lane.flow.has_too_many(lane.site, clock.now_ms())

    async def _crashed(self, lane: Lane, hand: Hand) -> None:
        """A mistake of ours: the parcel waits as after any temporary failure, the lane a while."""
        now, parcel = clock.now_ms(), hand.parcel
        lane.flow.failed(lane.site, now)
        self._regulator.unreachable.unprobed(lane.egress.name, lane.site.key)
        if parcel is None:
            return

        async def record() -> bool:
            attempt = nowhere(lane, parcel, CRASHED, now)
            await self._results.record(parcel, attempt, b"", None)
            return True

        if await tasks.guard(record(), name=f"lane {lane.site.key}") is None:
            self._to_rest(parcel, now + CRASH_PAUSE)

    async def _idle(self, lane: Lane) -> bool:
        seconds = lane.zone.provider.limits.idle_timeout or self._limits.idle_timeout
        with self._places.idling(lane):
            return await lane.work(seconds)

    async def _in_step(self, lane: Lane) -> bool:
        """Wait for the flow's next turn; False when it is too far away to keep a connection for."""
        while len(lane) and not self._draining:
            now = clock.now_ms()
            at = lane.flow.sends_at(now)
            if at <= now:
                return True
            if at > now + PATIENCE:
                self._places.later(lane, at - PATIENCE // 2, now)
                return False
            await asyncio.sleep((at - now) / 1000)
        return not self._draining

    # -- one parcel ----------------------------------------------------------

    def _next(self, lane: Lane, hand: Hand) -> bool:
        """Take the next parcel that may go in hand."""
        while not self._is_stopped(lane) and not self._draining:
            hand.parcel = parcel = lane.pop()
            if lane.keeps_back:
                self._dispatcher.lane_drained(lane)
            if parcel is None:
                return False
            self._dispatcher.left(lane, parcel)
            if self._may_go(lane, parcel):
                lane.flow.sent(parcel.message.tenant_id, clock.now_ms())
                return True
            hand.parcel = None
        return False

    def _is_stopped(self, lane: Lane) -> bool:
        """Whether the kill switch leaves nothing to do here. Who goes on is asked for each parcel."""
        directory = self._directory()
        if directory.kill_switch is None:
            return False
        return directory.stop_of(BOX) is not None or not lane.holds_own

    def _may_go(self, lane: Lane, parcel: Parcel) -> bool:
        now = clock.now_ms()
        return self._is_allowed(lane, parcel, now) and self._is_not_throttled(lane, parcel, now)

    def _is_allowed(self, lane: Lane, parcel: Parcel, now: int) -> bool:
        """Whether the directory lets it go; where it does not, it is put where it waits."""
        directory = self._directory()
        self._drop_suppressed(parcel, directory)
        if not parcel.recipients:
            self._window.drop_content(parcel)
            return False
        if directory.pauses and parcel.shared:
            self._part(lane, parcel)
        if key_closed(directory, parcel.key, now):
            self._to_rest(parcel, parcel.recipients[0].due_at)
            return False
        if directory.pauses_of(parcel.key.tenant_id, parcel.key.domain):
            leg = Leg(lane.site.name, lane.zone.provider.name, lane.egress.name)
            if self._dispatcher.keeps_back(parcel, leg, now):
                return False
            if leg_pause(directory, parcel.key, leg, now):
                self._dispatcher.route(parcel)  # another address may go there
                return False
        return True

    def _may_still_go(self, lane: Lane, parcel: Parcel, asked: Directory) -> bool:
        """Asked once more at the last moment: a connection may have taken minutes to open.

        `asked`: the directory that allowed it. While it holds the answer is the same, at no cost.
        """
        if self._draining:
            self._to_rest(parcel, parcel.recipients[0].due_at)
            return False
        if self._directory() is asked and not lane.is_retired:
            return True
        parcel.sending = False
        if not self._is_allowed(lane, parcel, clock.now_ms()):
            return False
        if lane.is_retired:
            self._dispatcher.route(parcel)
            return False
        parcel.sending = True
        return True

    def _is_not_throttled(self, lane: Lane, parcel: Parcel, now: int) -> bool:
        key, flow = parcel.key, lane.flow
        wait = self._regulator.throttles.wait(
            flow.egress, flow.zone, key.tenant_id, key.domain, now
        )
        if wait is not None:
            self._dispatcher.route(parcel)  # another address may go there
            return False
        at = flow.tenant_sends_at(key.tenant_id, now)
        if at > now:
            place = (PACE, flow.egress, flow.zone.key, str(key.tenant_id))
            why = f"{flow.zone.title} asked for less of this tenant's mail: it goes slowly"
            self._dispatcher.put_aside(parcel, Blocked(place, at, why))
            return False
        return True

    def _drop_suppressed(self, parcel: Parcel, directory: Directory) -> None:
        match = directory.suppressions.match
        tenant_id = parcel.message.tenant_id
        hit = [r for r in parcel.recipients if match(tenant_id, r.address)]
        if not hit:
            return
        parcel.recipients = [r for r in parcel.recipients if r not in hit]
        now = clock.now_ms()
        words = "the address is on the suppression list"
        ends = [plain(r, Status.SUPPRESSED, EventKind.SUPPRESSED, words, now) for r in hit]
        self._results.settle(hit, ends)

    def _part(self, lane: Lane, parcel: Parcel) -> None:
        """While anything is paused each domain travels alone: a pause keeps what it covers, no more."""
        for other in self._window.part(parcel):
            lane.put_back(other)

    def _to_rest(self, parcel: Parcel, due_at: int) -> None:
        """Let a parcel go unsent; its recipients are read from the store again from `due_at` on."""
        self._window.drop_content(parcel)
        self._dispatcher.released(parcel.recipients)
        for key in {key_of(recipient) for recipient in parcel.recipients}:
            self._dispatcher.rewind(key, due_at)

    async def _deliver(self, lane: Lane, hand: Hand) -> None:
        """Send the parcel in hand; on the connection in hand, else on a new one."""
        parcel, kept, asked = hand.parcel, hand.connection is not None, self._directory()
        assert parcel is not None, "somebody took it in hand"
        parcel.sending = True
        hand.connection = hand.connection or await self._open(lane, parcel)
        if hand.connection is None:
            return
        if parcel.content is not None:
            await self._send(lane, hand, parcel.content, asked, kept=kept)
            return
        # Behind the connection, which may take minutes: content is held for those who can be sent to.
        weight = self._dispatcher.weight_of(parcel.message.tenant_id)
        waited = await self._window.read_back.take(parcel.message, weight)
        try:
            content = await self._read(parcel)
            if content is not None:
                # A connection that waited is like one that was kept: it may have been closed meanwhile.
                await self._send(lane, hand, content, asked, kept=kept or waited)
        finally:
            self._window.read_back.give(parcel.message)

    async def _send(
        self, lane: Lane, hand: Hand, content: bytes, asked: Directory, *, kept: bool
    ) -> None:
        """One transaction over the connection in hand; `kept`: it was not opened just now."""
        parcel, connection = hand.parcel, hand.connection
        assert parcel is not None
        assert connection is not None
        # What holds now, not when it was planned: a warmup may have begun since.
        warms = self._dispatcher.planner.warms(lane.egress.name, lane.site, lane.zone)
        reservation = await self._reserve(lane, parcel, warms) if warms else None
        if warms and reservation is None:
            return
        signature = await self._sign(parcel.message, content)
        if not self._may_still_go(lane, parcel, asked):
            if reservation is not None:
                self._ledger.give_back(reservation, reservation.count, clock.now_ms())
            return
        attempt = await connection.send(self._envelope(parcel, signature, content))
        if not kept:
            lane.flow.worked(lane.site)
        if reservation is not None:
            unsent = reservation.count - attempt.rcpt_sent
            self._ledger.give_back(reservation, unsent, clock.now_ms())
        if kept and self._is_tried_again(lane, parcel, attempt):
            parcel.retried, parcel.sending = True, False
            lane.put_back(parcel)
        else:
            await self._results.record(parcel, attempt, content, lane)

    def _is_tried_again(self, lane: Lane, parcel: Parcel, attempt: Attempt) -> bool:
        """Once, and only where the kept connection had ended: a 421 its provider has a rule for is an answer."""
        if parcel.retried or not connection_was_gone(attempt):
            return False
        return not self._regulator.knows(lane.zone, attempt)

    async def _reserve(self, lane: Lane, parcel: Parcel, warms: str) -> Reservation | None:
        """A part of today's budget for those who are sent to now; None when none of it is left."""
        now, wanted = clock.now_ms(), len(parcel.recipients)
        egress, key = lane.egress.name, parcel.key
        traffic_class = parcel.message.traffic_class
        try:
            found = await self._ledger.reserve(egress, warms, traffic_class, wanted, now)
        except StoreError as error:
            log.warning("the warmup budget of %s cannot be read: %s", egress, error)
            self._to_rest(parcel, now + STORE_PAUSE)
            return None
        parcel.sending = not isinstance(found, Wait)
        if isinstance(found, Wait):
            self._dispatcher.plan_again(parcel, lane, found)
            return None
        if found.count < wanted:
            for other in self._window.cut(parcel, found.count):
                self._dispatcher.route(other)
        log.debug("%s: %d reserved for %s", egress, found.count, key.domain)
        return found

    async def _open(self, lane: Lane, parcel: Parcel) -> Connection | None:
        started = clock.now_ms()
        self._regulator.unreachable.probe(lane.egress.name, lane.site.key, started)
        limits = lane.zone.provider.limits
        try:
            connection = await self._transport.open(
                lane.egress, lane.site, limits=limits, domain=parcel.key.domain
            )
        except ConnectFailed as failure:
            await self._unreachable(lane, parcel, failure, started)
            return None
        if self._regulator.unreachable.worked(lane.egress.name, lane.site.key):
            key = lane.site.key
            self._dispatcher.reopen(lambda place: place[0] == SITE and place[2] == key)
        return connection

    async def _unreachable(
        self, lane: Lane, parcel: Parcel, failure: ConnectFailed, started: int
    ) -> None:
        """Nobody answers: the others in the lane go another way or wait, unless a connection lives."""
        now, is_live = clock.now_ms(), lane.is_live
        if is_live:
            lane.flow.failed(lane.site, now)  # the receiver has enough of them: the others go on
        else:
            words = failure.reply.line()
            self._regulator.unreachable.failed(lane.egress.name, lane.site, words, now)
        attempt = nowhere(lane, parcel, failure, started)
        await self._results.record(parcel, attempt, parcel.content or b"", lane)
        if not is_live:
            self._dispatcher.vacate(lane)

    async def _read(self, parcel: Parcel) -> bytes | None:
        """Its content, from the store; None when it is not there, and the parcel was dealt with."""
        message_id = parcel.message.id
        try:
            content = await self._shard.call(lambda store, _: store.content(message_id))
        except StoreError as error:
            log.warning("%s is tried again: %s", ids.to_text(message_id), error)
            self._to_rest(parcel, clock.now_ms() + STORE_PAUSE)
            return None
        if content is None:
            words = "its content is gone from the spool, or damaged"
            log.error("message %s is corrupt: %s", ids.to_text(message_id), words)
            now = clock.now_ms()
            lost = [
                plain(r, Status.CORRUPT, EventKind.CORRUPT, words, now) for r in parcel.recipients
            ]
            self._results.settle(parcel.recipients, lost)
        return content

    def _envelope(self, parcel: Parcel, signature: bytes, content: bytes) -> Envelope:
        message = parcel.message
        n = None if message.return_path_mode is ReturnPathMode.MESSAGE else parcel.recipients[0].n
        return Envelope(
            message_id=message.id,
            mail_from=self._return_path(message, n),
            recipients=tuple(
                EnvelopeRecipient(n=r.n, address=r.address, notify=r.notify, orcpt=r.orcpt)
                for r in parcel.recipients
            ),
            content=(signature, content) if signature else (content,),
            size=len(signature) + len(content),
            smtputf8=message.smtputf8,
            body_8bit=message.body_8bit,
            ret=message.ret,
            envid=message.envid,
        )
