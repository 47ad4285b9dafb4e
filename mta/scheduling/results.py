"""Results: what attempts led to, on its way to the disk.

Lets shaping hear the receiver's answers, has the outcome worded (mta.outcome), the sender told, and
hands all of it to the shard in one job. Promises: at most OUTSTANDING outcomes are not durable yet,
which bounds the doubles a crash can make; a recipient leaves memory only once its outcome is durable, or
cannot be written: then it is tried again later, unless it has been delivered.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock, ids, tasks
from mta.outcome.decide import Treatment
from mta.outcome.record import untried
from mta.scheduling.held import Held
from mta.scheduling.parcel import key_of
from mta.scheduling.sender import CRASH_PAUSE
from mta.shaping.throttles import Treat
from mta.spool.committer import BATCH_JOBS
from mta.spool.errors import UnstorableError
from mta.status import EventKind, Status
from mta.transport.replies import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.core.errors import PillarboxError
    from mta.message import Admitted, Attempt, Message, Recipient
    from mta.outcome.record import Recorded, Recorder
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.lane import Lane
    from mta.scheduling.parcel import Parcel
    from mta.scheduling.regulator import Regulator
    from mta.scheduling.window import Window
    from mta.shaping.throttles import Heard
    from mta.spool.batch import Settlement
    from mta.spool.shard import Shard

log = logging.getLogger(__name__)

OUTSTANDING = BATCH_JOBS
"""Outcomes that may wait for the disk at once: the documented bound of doubles after a crash."""

ANOTHER_ADDRESS = 5 * clock.SECOND
"""Until the next attempt, where a receiver's answer asks for another egress."""


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


class Results:
    """Outcomes of one shard."""

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        *,
        shard: Shard,
        dispatcher: Dispatcher,
        recorder: Recorder,
        window: Window,
        notices: Notices,
        observer: Observer,
        regulator: Regulator,
    ) -> None:
        self._shard, self._dispatcher, self._recorder = shard, dispatcher, recorder
        self._window, self._notices, self._observer = window, notices, observer
        self._regulator = regulator
        self.held = Held(shard, notices, self._fresh)
        self._settled = asyncio.Event()
        self.outstanding = 0  # outcomes that are not durable yet

    async def no_route(self, parcel: Parcel, attempt: Attempt) -> None:
        """The parcel could not even be routed."""
        await self.record(parcel, attempt, parcel.content or b"", None)

    def settle(self, recipients: list[Recipient], settlements: list[Settlement]) -> None:
        """Record what was decided of one message without an attempt, and tell the sender where it is due."""
        self._write(recipients, settlements, self._notices_of(settlements))

    def _notices_of(self, settlements: list[Settlement]) -> list[Admitted]:
        one = settlements[0].recipient
        parcel = self._window.parcel_with(one.message_id, one.n)
        if parcel is None:
            return []
        outcomes = [untried(settlement) for settlement in settlements]
        content = parcel.content or b""
        word = partial(self._notices.for_outcomes, parcel.message, outcomes, content)
        return tasks.guard_call(word, name="a notice") or []

    async def record(
        self, parcel: Parcel, attempt: Attempt, content: bytes, lane: Lane | None
    ) -> None:
        """What an attempt led to; `lane` None when there was not even a route."""
        message, now = parcel.message, clock.now_ms()
        treatments: dict[int, Treatment] | None = None
        if lane is not None:
            if lane.zone.provider.name:
                attempt = replace(attempt, provider=lane.zone.provider.name)
            if not all(result.reply.is_success for result in attempt.results):
                hear = partial(self._heard, lane, parcel, attempt, now)
                treatments = tasks.guard_call(hear, name="shaping")
        outcomes = self._recorder.attempt(
            message, parcel.recipients, attempt, now, treatments or {}
        )
        # A crash of what only looks on must not lose an outcome: the mail would be sent once more.
        tasks.guard_call(partial(self._observe, message, outcomes, attempt), name="the observer")
        notices: list[Admitted] | None = None
        if any(outcome.decision.event is not EventKind.DELIVERED for outcome in outcomes) or any(
            r.notify for r in parcel.recipients
        ):
            word = partial(self._notices.for_outcomes, message, outcomes, content)
            notices = tasks.guard_call(word, name="a notice")
        self._window.drop_content(parcel)
        self._write(parcel.recipients, [o.settlement for o in outcomes], notices or [])
        while self.outstanding >= OUTSTANDING:
            self._settled.clear()
            await self._settled.wait()

    def _observe(self, message: Message, outcomes: Sequence[Recorded], attempt: Attempt) -> None:
        for outcome in outcomes:
            self._observer.outcome(message, outcome, attempt)

    def _heard(
        self, lane: Lane, parcel: Parcel, attempt: Attempt, now: int
    ) -> dict[int, Treatment]:
        """Let shaping hear the answers; how they are to be treated, by recipient."""
        heard = self._regulator.heard(lane, parcel.message, parcel.recipients, attempt, now)
        refused = [result for result in attempt.results if not result.reply.is_success]
        lane.last_words = refused[-1].reply.line()
        avoid = self._dispatcher.planner.avoid
        elsewhere = {
            recipient.n
            for recipient in parcel.recipients
            if recipient.n in heard
            and heard[recipient.n].next_address
            and avoid(recipient, lane.egress.name)
        }
        waits = lane.zone.provider.retry
        return {
            result.n: treatment_of(heard.get(result.n), waits, elsewhere=result.n in elsewhere)
            for result in refused
        }

    def _write(
        self, recipients: list[Recipient], settlements: list[Settlement], notices: list[Admitted]
    ) -> None:
        self.outstanding += len(settlements)

        def durable(error: PillarboxError | None) -> None:
            self.outstanding -= len(settlements)
            self._settled.set()
            if error is not None:
                self._not_written(recipients, settlements, notices, error)
                return
            self._dispatcher.released(recipients)
            for settlement in settlements:
                if settlement.status is Status.DEFERRED:
                    key = key_of(settlement.recipient)
                    self._dispatcher.rest(key, settlement.due_at)
            for notice in notices:
                self._fresh(notice)

        self._shard.settle(settlements, notices, durable)

    def _not_written(
        self,
        recipients: list[Recipient],
        settlements: list[Settlement],
        notices: list[Admitted],
        error: PillarboxError,
    ) -> None:
        """In fewer words, where that may help; else as if it had not been tried, but what was delivered."""
        bare = [_bare(settlement) for settlement in settlements]
        if isinstance(error, UnstorableError) and bare != settlements:
            names = {ids.to_text(recipient.message_id) for recipient in recipients}
            log.error("how %s went is kept in fewer words: %s", ", ".join(names), error)
            self._write(recipients, bare, notices)
            return
        self._dispatcher.released(recipients)
        due_at = clock.now_ms() + CRASH_PAUSE
        lost = [s.recipient for s in settlements if s.status is not Status.DELIVERED]
        for key in {key_of(recipient) for recipient in lost}:
            self._dispatcher.rewind(key, due_at)

    def _fresh(self, notice: Admitted) -> None:
        self._dispatcher.fresh(notice.message, list(notice.recipients), notice.content)


def _bare(settlement: Settlement) -> Settlement:
    """The outcome without the conversation, in words that every database takes."""
    event = settlement.event
    data = {name: _plain(value) for name, value in event.data.items() if name != "steps"}
    return replace(
        settlement,
        reason=_clean(settlement.reason),
        host=_clean(settlement.host),
        egress=_clean(settlement.egress),
        event=replace(event, data=data),
    )


def _plain(value: object) -> object:
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    return shown(text.encode("utf-8", "replace"))


def treatment_of(
    heard: Heard | None, waits: tuple[float, ...], *, elsewhere: bool = True
) -> Treatment:
    """How an answer is treated: what shaping heard, and the provider's own waits (s).

    `elsewhere`: there is another address, where the answer asks for one.
    """
    retry = tuple(round(seconds * clock.SECOND) for seconds in waits)
    if heard is None:
        return Treatment(waits=retry)
    permanent = None if heard.treat is None else heard.treat is Treat.BOUNCE
    at = ANOTHER_ADDRESS if heard.next_address and elsewhere else 0
    return Treatment(permanent=permanent, at_least=heard.wait, at=at, waits=retry)
