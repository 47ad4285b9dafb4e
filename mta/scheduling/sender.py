"""Sender: serves lanes. Takes the next parcel, sends it on a kept connection, records what was said.

Promises: no new transaction begins while the kill switch is on or a pause covers it; suppression is
looked at once more before sending; at most OUTSTANDING outcomes are not durable yet, which bounds
the doubles a crash can make. Never judges an answer and never writes: that is `mta.outcome`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock, ids, tasks
from appliance.core.errors import StoreError
from mta.message import Attempt, Envelope, EnvelopeRecipient, ReturnPathMode
from mta.outcome.record import Recorded, Recorder, plain, without_connection
from mta.scheduling.gate import key_closed, parcel_pause
from mta.scheduling.lane import LANE_LIMIT, Lane
from mta.scheduling.parcel import key_of
from mta.spool.committer import BATCH_JOBS
from mta.status import EventKind, Phase, Scope, Status
from mta.transport.base import ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mta.directory import Directory
    from mta.message import Admitted, Message, Recipient
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.parcel import Parcel
    from mta.scheduling.window import Window
    from mta.spool.batch import Settlement
    from mta.spool.shard import Shard
    from mta.transport.base import Connection, Transport

log = logging.getLogger(__name__)

OUTSTANDING = BATCH_JOBS
"""Outcomes that may wait for the disk at once: the documented bound of doubles after a crash."""

STORE_PAUSE = clock.SECOND
"""How long a parcel rests whose content the store could not read just now."""

SHELF_LIMIT = 1000
"""Parcels kept in memory while a pause covers them; above that their keys wait at rest."""


class Notices(Protocol):
    """Words failure notices to senders (mta.bounce.notices)."""

    def for_outcomes(
        self, message: Message, outcomes: Sequence[Recorded], content: bytes
    ) -> list[Admitted]:
        """Notices that follow from these outcomes; stored in the same commit."""


class Observer(Protocol):
    """Told of every outcome (metrics)."""

    def outcome(self, message: Message, outcome: Recorded, attempt: Attempt) -> None:
        """One recipient of one attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Fixed for every site for now; shaping gives each its own."""

    connections_per_site: int
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
        recorder: Recorder,
        window: Window,
        directory: Callable[[], Directory],
        return_path: Callable[[Message, int | None], str],
        signature: Callable[[Message, bytes], bytes],
        notices: Notices,
        observer: Observer,
        limits: Limits,
    ) -> None:
        self._shard, self._dispatcher, self._transport = shard, dispatcher, transport
        self._recorder, self._window, self._directory = recorder, window, directory
        self._return_path, self._signature = return_path, signature
        self._notices, self._observer, self._limits = notices, observer, limits
        self._outstanding = 0
        self._settled = asyncio.Event()
        self._connections = 0
        self._hungry: dict[Lane, None] = {}  # lanes that wait for a connection, in order
        self._shelf: list[tuple[Lane, Parcel]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def connections(self) -> int:
        """Open or opening connections."""
        return self._connections

    @property
    def outstanding(self) -> int:
        """Outcomes that are not durable yet."""
        return self._outstanding

    # -- lanes -------------------------------------------------------------

    def kick(self, lane: Lane) -> None:
        """There is work in the lane: wake a connection or open another."""
        if self._draining or not len(lane) or self._directory().kill_switch is not None:
            return
        if lane.wake_idle() or lane.connections >= self._limits.connections_per_site:
            return
        if self._connections >= self._limits.max_connections:
            self._hungry.setdefault(lane)
            return
        lane.connections += 1
        self._connections += 1
        task = tasks.spawn(self._serve(lane), name=f"lane {lane.site.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Finish the transactions that run, begin no others, close all connections."""
        self._draining = True
        for lane in list(self._dispatcher.lanes.values()):
            lane.wake_all()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def directory_changed(self) -> None:
        """Parcels on the shelf may go on."""
        shelf, self._shelf = self._shelf, []
        for _, parcel in shelf:
            self._dispatcher.route(parcel)

    async def _serve(self, lane: Lane) -> None:
        connection: Connection | None = None
        try:
            while not self._draining:
                parcel = self._next(lane)
                if parcel is not None:
                    connection = await self._deliver(lane, parcel, connection)
                    if connection is None and self._hungry:
                        break  # its turn is over: a lane that always has work starves no other
                elif self._hungry or not await lane.work(self._limits.idle_timeout):
                    break
        finally:
            lane.connections -= 1
            self._connections -= 1
            if connection is not None:
                await connection.close()
            self._dispatcher.lane_drained(lane)
            self._feed_hungry()
            self.kick(lane)

    def _feed_hungry(self) -> None:
        while self._hungry and self._connections < self._limits.max_connections:
            lane = next(iter(self._hungry))
            del self._hungry[lane]
            self.kick(lane)

    # -- one parcel ----------------------------------------------------------

    def _next(self, lane: Lane) -> Parcel | None:
        while self._directory().kill_switch is None and not self._draining:
            parcel = lane.pop()
            if lane.parked and len(lane) < LANE_LIMIT // 2:
                self._dispatcher.lane_drained(lane)
            if parcel is None or self._may_go(lane, parcel):
                return parcel
        return None

    def _may_go(self, lane: Lane, parcel: Parcel) -> bool:
        directory = self._directory()
        self._drop_suppressed(parcel, directory)
        if not parcel.recipients:
            return False
        if directory.pauses and parcel.shared:
            self._part(lane, parcel)
        if key_closed(directory, parcel.key):
            self._dispatcher.backlog.park(parcel.key)
            self._to_rest(parcel, parcel.recipients[0].due_at)
            return False
        if directory.pauses and parcel_pause(directory, parcel, lane.site.key) is not None:
            self._shelve(lane, parcel)
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
        self._write(
            hit, [plain(r, Status.SUPPRESSED, EventKind.SUPPRESSED, words, now) for r in hit], []
        )

    def _part(self, lane: Lane, parcel: Parcel) -> None:
        """While anything is paused each domain travels alone: a pause keeps what it covers, no more."""
        for other in parcel.part():
            self._window.joined(other.recipients, other, 0)
            lane.put_back(other)

    def _to_rest(self, parcel: Parcel, due_at: int) -> None:
        """Let a parcel go unsent; its recipients are read from the store again from `due_at` on."""
        self._window.drop_content(parcel)
        self._dispatcher.released(parcel.recipients)
        for key in {key_of(recipient) for recipient in parcel.recipients}:
            self._dispatcher.rewind(key, due_at)

    def _shelve(self, lane: Lane, parcel: Parcel) -> None:
        if len(self._shelf) < SHELF_LIMIT:
            self._window.drop_content(parcel)
            self._shelf.append((lane, parcel))
        else:
            self._dispatcher.backlog.park(parcel.key)
            self._to_rest(parcel, parcel.recipients[0].due_at)

    async def _deliver(
        self, lane: Lane, parcel: Parcel, connection: Connection | None
    ) -> Connection | None:
        """Send one parcel; the connection that may be used for the next, or None."""
        parcel.sending = True
        try:
            content = await self._content(parcel)
        except StoreError as error:
            log.warning("%s is tried again: %s", ids.to_text(parcel.message.id), error)
            self._to_rest(parcel, clock.now_ms() + STORE_PAUSE)
            return connection
        if content is None:
            return connection
        kept = connection is not None and connection.usable
        if not kept:
            connection = await self._open(lane, parcel, connection)
        if connection is None:
            return None
        started = clock.now_ms()
        attempt = await connection.send(self._envelope(parcel, content))
        if kept and not parcel.retried and _connection_was_gone(attempt):
            parcel.retried, parcel.sending = True, False
            lane.put_back(parcel)
        else:
            await self._record(parcel, attempt, content)
        log.debug("sent %s in %d ms", ids.to_text(parcel.message.id), clock.now_ms() - started)
        if connection.usable:
            return connection
        await connection.close()
        return None

    async def _open(self, lane: Lane, parcel: Parcel, old: Connection | None) -> Connection | None:
        if old is not None:
            await old.close()
        started = clock.now_ms()
        try:
            return await self._transport.open(lane.egress, lane.site)
        except ConnectFailed as failure:
            await self._unreachable(lane, parcel, failure, started)
            return None

    async def _unreachable(
        self, lane: Lane, parcel: Parcel, failure: ConnectFailed, started: int
    ) -> None:
        """Nobody answers: everything in the lane waits, unless another connection still lives."""
        parcels = [parcel] if lane.connections > 1 else [parcel, *lane.take_all()]
        for each in parcels:
            results = without_connection(
                each.recipients, failure.reply, failure.phase, failure.scope
            )
            attempt = Attempt(
                results=results,
                host=failure.host,
                address=failure.address,
                egress=lane.egress.name,
                tls="",
                steps=failure.steps,
                started_at=started,
                ended_at=clock.now_ms(),
            )
            await self._record(each, attempt, each.content or b"")

    async def _content(self, parcel: Parcel) -> bytes | None:
        if parcel.content is not None:
            return parcel.content
        message_id = parcel.message.id
        content = await self._shard.call(lambda store, _: store.content(message_id))
        if content is None:
            words = "its content is gone from the spool"
            log.error("message %s is corrupt: %s", ids.to_text(message_id), words)
            now = clock.now_ms()
            lost = [
                plain(r, Status.CORRUPT, EventKind.CORRUPT, words, now) for r in parcel.recipients
            ]
            self._write(parcel.recipients, lost, [])
        return content

    def _envelope(self, parcel: Parcel, content: bytes) -> Envelope:
        message = parcel.message
        n = None if message.return_path_mode is ReturnPathMode.MESSAGE else parcel.recipients[0].n
        # What comes from memory was signed a moment ago; what waited may need another signature.
        fresh = parcel.content is not None
        signature = message.signature if fresh else self._signature(message, content)
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

    # -- outcomes ------------------------------------------------------------

    async def no_route(self, parcel: Parcel, attempt: Attempt) -> None:
        """The parcel could not even be routed."""
        await self._record(parcel, attempt, parcel.content or b"")

    async def _record(self, parcel: Parcel, attempt: Attempt, content: bytes) -> None:
        message = parcel.message
        outcomes = self._recorder.attempt(message, parcel.recipients, attempt, clock.now_ms())
        for outcome in outcomes:
            self._observer.outcome(message, outcome, attempt)
        notices: list[Admitted] = []
        if any(outcome.decision.event is not EventKind.DELIVERED for outcome in outcomes) or any(
            r.notify for r in parcel.recipients
        ):
            notices = self._notices.for_outcomes(message, outcomes, content)
        self._window.drop_content(parcel)
        self._write(parcel.recipients, [o.settlement for o in outcomes], notices)
        while self._outstanding >= OUTSTANDING:
            self._settled.clear()
            await self._settled.wait()

    def _write(
        self, recipients: list[Recipient], settlements: list[Settlement], notices: list[Admitted]
    ) -> None:
        self._outstanding += len(settlements)

        def durable(signatures: list[bytes]) -> None:
            self._outstanding -= len(settlements)
            self._settled.set()
            self._dispatcher.released(recipients)
            for settlement in settlements:
                if settlement.status is Status.DEFERRED:
                    key = key_of(settlement.recipient)
                    self._dispatcher.rest(key, settlement.due_at)
            for notice, signature in zip(notices, signatures, strict=False):
                message = replace(notice.message, signature=signature)
                self._dispatcher.fresh(message, list(notice.recipients), notice.content)

        self._shard.settle(settlements, notices, durable)


def _connection_was_gone(attempt: Attempt) -> bool:
    """A kept connection that the receiver had closed meanwhile: nothing of this message was judged."""
    return all(
        result.scope is Scope.SESSION
        and result.phase in (Phase.MAIL, Phase.RCPT)
        and result.reply.is_transient
        for result in attempt.results
    )
