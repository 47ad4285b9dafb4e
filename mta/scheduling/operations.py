"""Operations: what people do with waiting mail (MTA-12), in the process that owns the shard.

find, show, retry, hold, release, reroute, cancel. A recipient whose attempt runs right now is left
alone and counted as such; one that is ready in memory is taken out of its parcel first. Every change
is an event that names who did it. Works in pages, so that a million recipients never block a commit,
and a turn at a time, so that who asked sees how far it is. Mail that comes in meanwhile is left alone.
Retry makes mail due and no more: what a pause, a warmup or a throttle keeps back stays there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from mta.scheduling.census import Census
from mta.scheduling.changes import Action, Hand, change_of, concerns_held
from mta.scheduling.parcel import key_of
from mta.spool.questions import FIRST, Found, Known
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.message import Message, Recipient
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.lane import Lane
    from mta.scheduling.parcel import Parcel
    from mta.scheduling.window import Window
    from mta.spool.batch import Batch
    from mta.spool.questions import Place, QueueFilter
    from mta.spool.shard import Shard
    from mta.spool.store import OutboxRow, SpoolStore

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A part of a long operation; the default is all of it."""

    after: Place = FIRST
    upto: int = 0  # message id; 0: what is there at the start
    seconds: float = float("inf")  # end after so long, at the next page


@dataclass(slots=True)
class Done:
    """What an operation did in its turn."""

    changed: int = 0
    being_sent: int = 0
    ready: int = 0  # due already: a retry changes nothing
    after: Place | None = None  # where the next turn begins; None: that was all
    upto: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """A message in the spool, with everybody it goes to."""

    message: Message
    recipients: list[Recipient]
    events: list[OutboxRow] = field(default_factory=list)


WHOLE: Final = Turn()


class Operations:
    """People's hands on one shard."""

    def __init__(
        self,
        *,
        shard: Shard,
        dispatcher: Dispatcher,
        window: Window,
        directory: Callable[[], Directory],
    ) -> None:
        self._shard, self._dispatcher = shard, dispatcher
        self._window, self._directory = window, directory
        self.census = Census(shard, dispatcher, directory)
        self._asked, self._domains = ("", ""), frozenset[str]()  # site and provider, looked up last

    # -- looking -------------------------------------------------------------

    async def find(self, wanted: QueueFilter, after: Place, limit: int) -> list[Recipient]:
        """Waiting and held recipients, in the order of (message, n); fewer than `limit`: no more."""
        return (await self.look(wanted, after, limit)).recipients

    async def look(
        self, wanted: QueueFilter, after: Place, limit: int, slices: int = sys.maxsize
    ) -> Found:
        """The same among the next so many slices, and where the next look begins; None at the end."""
        known = await self._known(wanted, after)
        found: list[Recipient] = []
        place: Place | None = after
        while place is not None and len(found) < limit and slices > 0:
            slice_ = await self._slice(wanted, place, min(limit - len(found), PAGE), known)
            found += slice_.recipients
            place, slices = slice_.after, slices - 1
        return Found(found, place)

    async def show(self, message_id: int) -> Shown:
        """A message with its recipients and the events the log has not taken over yet."""

        def read(store: SpoolStore, _: Batch) -> Shown | None:
            message = store.message(message_id)
            if message is None:
                return None
            return Shown(message, store.recipients(message_id), store.events_of(message_id))

        shown = await self._shard.call(read)
        if shown is None:
            raise NotFoundError(
                "no such message waits in the queue: `pillarbox messages show` looks in the log too"
            )
        return shown

    def standing(self, recipient: Recipient) -> tuple[Status, str]:
        """How it stands this moment, memory included, and why it waits, in words."""
        parcel = self._window.parcel_with(recipient.message_id, recipient.n)
        if parcel is not None and parcel.sending:
            return Status.SENDING, "an attempt runs now"
        return recipient.status, self.census.why(recipient)

    @property
    def being_sent(self) -> int:
        """Recipients whose attempt runs now."""
        return self._window.being_sent

    async def _slice(
        self, wanted: QueueFilter, after: Place, limit: int, known: Known | None
    ) -> Found:
        return await self._shard.call(
            lambda store, _: store.questions.find(wanted, after, limit, known)
        )

    async def _known(self, wanted: QueueFilter, after: Place) -> Known | None:
        """What memory adds to the filter; None when it adds nothing."""
        if not (wanted.site or wanted.provider or wanted.egress):
            return None
        domains = None
        if wanted.site or wanted.provider:
            domains = await self._domains_of(wanted.site, wanted.provider, after)
        places = self._ready_at(wanted.egress) if wanted.egress else frozenset[tuple[int, int]]()
        return Known(domains=domains, places=places)

    async def _domains_of(self, site: str, provider: str, after: Place) -> frozenset[str]:
        """Looked up at the first page of a question; among a million that takes seconds."""
        asked = (site, provider)
        if after == FIRST or self._asked != asked:
            self._domains = await self.census.domains(site=site, provider=provider)
            self._asked = asked
        return self._domains

    def _ready_at(self, egress: str) -> frozenset[Place]:
        """Recipients in the lanes of an egress."""
        found: set[Place] = set()

        def look(lane: Lane, parcel: Parcel) -> bool:
            if lane.egress.name == egress:
                found.update((r.message_id, r.n) for r in parcel.recipients)
            return False  # nothing is planned anew

        self._dispatcher.replan(look)
        return frozenset(found)

    # -- acting --------------------------------------------------------------

    async def act(
        self, action: Action, wanted: QueueFilter, *, by: str, pool: str = "", turn: Turn = WHOLE
    ) -> Done:
        """Carry `action` out on every recipient that matches; `pool` is where a reroute leads."""
        if action is Action.REROUTE:
            self._check_pool(pool, wanted)
        end = clock.monotonic() + turn.seconds
        known = await self._known(wanted, turn.after)
        # A fresh id is above all that were given out, whatever the clock says.
        done = Done(after=turn.after, upto=turn.upto or self._shard.new_id(clock.now_ms()))
        while done.after is not None:
            found = await self._slice(wanted, done.after, PAGE, known)
            page = [r for r in found.recipients if r.message_id <= done.upto]
            await self._act_on(action, page, Hand(by=by, at=clock.now_ms(), pool=pool), done)
            is_last = found.after is None or found.after[0] > done.upto
            done.after = None if is_last else found.after
            if clock.monotonic() >= end:
                break
        return done

    def _check_pool(self, name: str, wanted: QueueFilter) -> None:
        """A pool must be there, and a dedicated one is for its tenant's mail alone."""
        pools = self._directory().egress.pools
        pool = pools.get(name)
        if name and pool is None:
            known = ", ".join(sorted(pools)) or "none is configured"
            raise NotFoundError(f"there is no pool {name} ({known}): see `pillarbox pool list`")
        if pool is not None and pool.tenant_id and pool.tenant_id != wanted.tenant_id:
            raise UsageError(
                f"pool {name} is kept for one tenant: name it with --tenant, so that only its mail"
                " is rerouted"
            )

    async def _act_on(self, action: Action, page: list[Recipient], hand: Hand, done: Done) -> None:
        concerned = [r for r in page if self._concerned(action, r, done)]
        if not concerned:
            return
        change = change_of(action, concerned, hand)
        self._window.lock_out(concerned)
        changed: set[Place] = set()
        try:
            changed.update(await self._shard.call(change))
        finally:
            self._window.unlock(concerned)
            # They were taken out of memory, or passed over by a page: nothing else would look for them.
            self._due_again([r for r in concerned if (r.message_id, r.n) not in changed])
        done.changed += len(changed)
        moved = [r for r in concerned if (r.message_id, r.n) in changed]
        if action is Action.REROUTE:
            self._waits_elsewhere(moved, hand.pool)
        elif action in (Action.RETRY, Action.RELEASE):
            self._due_again(moved)

    def _concerned(self, action: Action, recipient: Recipient, done: Done) -> bool:
        if recipient.status is Status.HELD:
            return concerns_held(action)
        if action is Action.RELEASE:
            return False
        parcel = self._window.parcel_with(recipient.message_id, recipient.n)
        if parcel is None:
            return True
        if parcel.sending:
            done.being_sent += 1
            return False
        if action is Action.RETRY:
            done.ready += 1
            return False
        self._take_out(recipient, parcel)
        return True

    def _take_out(self, recipient: Recipient, parcel: Parcel) -> None:
        parcel.recipients = [r for r in parcel.recipients if r.n != recipient.n]
        if not parcel.recipients:
            self._window.drop_content(parcel)
        self._dispatcher.released([recipient])

    def _due_again(self, recipients: list[Recipient]) -> None:
        now = clock.now_ms()
        for key in {key_of(recipient) for recipient in recipients}:
            self._dispatcher.rewind(key, now)

    def _waits_elsewhere(self, recipients: list[Recipient], pool: str) -> None:
        """The pool is part of the key under which mail waits: tell the dispatcher of the new one."""
        for recipient in recipients:
            if recipient.status.is_waiting:
                key = key_of(recipient)._replace(pool=pool)
                self._dispatcher.rewind(key, recipient.due_at)
