"""Operations: what people do with waiting mail (MTA-12), in the process that owns the shard.

list, show, retry, hold, release, cancel. A recipient whose attempt runs right now is left alone and
counted as such; one that is ready in memory is taken out of its parcel first. Every change is an
event that names who did it. Works in pages, so that a million recipients never block a commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.errors import NotFoundError, StoreError
from mta.scheduling.gate import key_closed
from mta.scheduling.parcel import key_of
from mta.spool.batch import Event
from mta.spool.questions import QueueFilter
from mta.spool.store import Move
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.message import Message, Recipient
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.window import Window
    from mta.spool.batch import Batch
    from mta.spool.questions import Destination
    from mta.spool.shard import Shard
    from mta.spool.store import OutboxRow, SpoolStore

PAGE = 500


class Action(StrEnum):
    """What can be done to waiting mail."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"


_STEPS: dict[Action, tuple[Status, EventKind]] = {
    Action.RETRY: (Status.QUEUED, EventKind.RETRIED),
    Action.HOLD: (Status.HELD, EventKind.HELD),
    Action.RELEASE: (Status.QUEUED, EventKind.RELEASED),
    Action.CANCEL: (Status.CANCELLED, EventKind.CANCELLED),
}


@dataclass(slots=True)
class Done:
    """What an operation did."""

    changed: int = 0
    being_sent: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """A message in the spool, with everybody it goes to."""

    message: Message
    recipients: list[Recipient]
    events: list[OutboxRow] = field(default_factory=list)


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

    async def find(
        self, wanted: QueueFilter, after: tuple[int, int], limit: int
    ) -> list[Recipient]:
        """Waiting and held recipients."""
        return await self._shard.call(lambda store, _: store.find(wanted, after, min(limit, PAGE)))

    async def destinations(self, limit: int) -> list[Destination]:
        """Counts by domain."""
        return await self._shard.call(lambda store, _: store.destinations(limit))

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
        if recipient.status.is_waiting:
            closed = key_closed(self._directory(), key_of(recipient))
            if closed:
                return recipient.status, closed
        return recipient.status, recipient.reason

    async def act(self, action: Action, wanted: QueueFilter, *, by: str) -> Done:
        """Carry `action` out on every recipient that matches."""
        done, after = Done(), (-1, -1)
        while True:
            page = await self.find(wanted, after, PAGE)
            await self._act_on(action, page, by, done)
            if len(page) < PAGE:
                return done
            after = (page[-1].message_id, page[-1].n)

    async def expire_held(self, now: int) -> int:
        """Give up held mail whose life is over; returns how many recipients that was."""
        wanted = QueueFilter(status=Status.HELD, expired_at=now)
        page = await self.find(wanted, (-1, -1), PAGE)
        moves = [_expiry(recipient, now) for recipient in page]
        if not moves:
            return 0
        return len(await self._shard.call(lambda store, batch: store.move(moves, batch, held=True)))

    async def _act_on(self, action: Action, page: list[Recipient], by: str, done: Done) -> None:
        concerned = [r for r in page if self._concerned(action, r, done)]
        if not concerned:
            return
        moves = [self._move(action, recipient, by) for recipient in concerned]
        held = action is Action.RELEASE

        def carry_out(store: SpoolStore, batch: Batch) -> list[Move]:
            changed = store.move(moves, batch, held=False) if not held else []
            if held or action is Action.CANCEL:
                changed += store.move(moves, batch, held=True)
            return changed

        self._window.lock_out(concerned)
        try:
            changed = await self._shard.call(carry_out)
        except StoreError:
            self._due_again(concerned)
            raise
        finally:
            self._window.unlock(concerned)
        done.changed += len(changed)
        moved = {(m.message_id, m.n) for m in changed}
        if action in (Action.RETRY, Action.RELEASE):
            self._due_again([r for r in concerned if (r.message_id, r.n) in moved])

    def _concerned(self, action: Action, recipient: Recipient, done: Done) -> bool:
        if (recipient.status is Status.HELD) != (action is Action.RELEASE):
            return recipient.status is Status.HELD and action is Action.CANCEL
        parcel = self._window.parcel_with(recipient.message_id, recipient.n)
        if parcel is None:
            return True
        if parcel.sending or action is Action.RETRY:
            done.being_sent += 1
            return False
        parcel.recipients = [r for r in parcel.recipients if r.n != recipient.n]
        if not parcel.recipients:
            self._window.drop_content(parcel)
        self._dispatcher.released([recipient])
        return True

    def _move(self, action: Action, recipient: Recipient, by: str) -> Move:
        status, kind = _STEPS[action]
        now = clock.now_ms()
        reason = recipient.reason if action is Action.RETRY else f"{kind} by {by}"
        if action is Action.RETRY:
            status = recipient.status
        return Move(
            recipient.message_id,
            recipient.n,
            status,
            now if status.is_waiting else recipient.due_at,
            reason,
            Event(
                message_id=recipient.message_id,
                n=recipient.n,
                kind=kind,
                at=now,
                data={"tenant": recipient.tenant_id, "to": recipient.address, "by": by},
            ),
        )

    def _due_again(self, recipients: list[Recipient]) -> None:
        now = clock.now_ms()
        for key in {key_of(recipient) for recipient in recipients}:
            self._dispatcher.rewind(key, now)


def _expiry(recipient: Recipient, now: int) -> Move:
    reason = f"held until its life was over; {recipient.reason}"
    data: dict[str, object] = {
        "tenant": recipient.tenant_id,
        "to": recipient.address,
        "reason": reason,
    }
    event = Event(
        message_id=recipient.message_id, n=recipient.n, kind=EventKind.EXPIRED, at=now, data=data
    )
    return Move(recipient.message_id, recipient.n, Status.EXPIRED, 0, reason, event)
