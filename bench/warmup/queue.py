"""Queue: mail that waits for each receiver, and what an answer leads to; the same for both senders.

Recipients that stand at the same point wait as one entry with a count. What an answer means and when it is
tried again is said by the product (mta.outcome) with the box's own retry schedule; who is due first goes
first.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.settings import Queue as QueueSettings
from mta.message import Attempt, Message, Recipient, RecipientResult, ReturnPathMode, Source
from mta.outcome.classify import classify
from mta.outcome.decide import AS_SAID, RetrySchedule, Treatment
from mta.outcome.record import Recorded, Recorder
from mta.status import Phase, Status, TrafficClass

if TYPE_CHECKING:
    from warmup.figures import Figures, Receiver, Saying

TENANT: Final = 1
_BEFORE_RCPT: Final = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.MAIL})


class Entry:
    """So many recipients at the same point."""

    __slots__ = ("count", "recipient")

    def __init__(self, recipient: Recipient, count: int) -> None:
        self.recipient, self.count = recipient, count


class Queue:
    """Everything one sender has to send."""

    def __init__(self, figures: Figures, start: int, seed: int) -> None:
        dice, usual = random.Random(f"{seed}/retries"), QueueSettings()
        self._recorder = Recorder(
            RetrySchedule(
                waits=tuple(int(seconds * clock.SECOND) for seconds in usual.retry),
                jitter=usual.jitter,
                lifetime=int(usual.lifetime * clock.SECOND),
                bulk_lifetime=figures.run.lifetime_days * clock.DAY,
            ),
            dice.random,
        )
        self.message = message(start)
        self._tick = figures.run.tick_seconds * clock.SECOND
        self._ids = itertools.count(1)
        self._expiry = start + figures.run.lifetime_days * clock.DAY
        self._heaps: dict[str, list[tuple[int, int, Entry]]] = {}
        self._joining: dict[tuple[str, int, int, str], Entry] = {}
        self.waiting: dict[str, int] = {}
        for receiver in figures.receiver:
            self.waiting[receiver.name] = 0
            self._heaps[receiver.name] = []
            self._push(receiver, self._fresh(receiver, start), figures.backlog_of(receiver))

    def due(self, receiver: Receiver, now: int) -> Entry | None:
        """Who goes next; None when nobody is due."""
        heap = self._heaps[receiver.name]
        while heap and not heap[0][2].count:
            heapq.heappop(heap)
        return heap[0][2] if heap and heap[0][0] <= now else None

    def take(self, receiver: Receiver, entry: Entry, count: int) -> None:
        """So many of an entry are on their way."""
        entry.count -= count
        self.waiting[receiver.name] -= count

    def settle(
        self,
        receiver: Receiver,
        entry: Entry,
        attempt: Attempt,
        count: int,
        treatment: Treatment = AS_SAID,
    ) -> Recorded:
        """What an answer to so many of an entry leads to; who is deferred waits again."""
        before = entry.recipient
        [recorded] = self._recorder.attempt(
            self.message, [before], attempt, attempt.ended_at, {before.n: treatment}
        )
        if recorded.decision.status is Status.DEFERRED:
            after = replace(
                before,
                message_id=next(self._ids),
                status=Status.DEFERRED,
                attempts=before.attempts + 1,
                due_at=recorded.decision.due_at,
                last_egress=attempt.egress,
            )
            self._push(receiver, after, count, alone=bool(treatment.at))
        return recorded

    def newest_id(self) -> int:
        """The message id of whoever was deferred last."""
        return self._newest

    def _push(
        self, receiver: Receiver, recipient: Recipient, count: int, *, alone: bool = False
    ) -> None:
        self.waiting[receiver.name] += count
        self._newest = recipient.message_id
        place = (
            receiver.name,
            recipient.due_at // self._tick,
            recipient.attempts,
            recipient.last_egress,
        )
        joined = None if alone else self._joining.get(place)
        if joined is not None and joined.count:
            joined.count += count
            return
        entry = Entry(recipient, count)
        if not alone:
            self._joining[place] = entry
        heapq.heappush(self._heaps[receiver.name], (recipient.due_at, recipient.message_id, entry))

    def _fresh(self, receiver: Receiver, start: int) -> Recipient:
        return Recipient(
            message_id=next(self._ids),
            n=0,
            tenant_id=TENANT,
            traffic_class=TrafficClass.BULK,
            address=f"user@{receiver.domain}",
            domain=receiver.domain,
            status=Status.QUEUED,
            due_at=start,
            expires_at=self._expiry,
        )


def attempt_of(receiver: Receiver, egress: str, said: Saying, n: int, now: int) -> Attempt:
    """A transaction that got this answer."""
    reply = said.answer
    verdict = classify(reply, phase=said.phase, provider=receiver.host)
    result = RecipientResult(n=n, reply=reply, phase=said.phase, scope=verdict.scope)
    return Attempt(
        results=(result,),
        host=receiver.host,
        address="192.0.2.25",
        egress=egress,
        tls="",
        steps=(),
        started_at=now,
        ended_at=now,
        rcpt_sent=0 if said.phase in _BEFORE_RCPT else 1,
    )


def message(start: int) -> Message:
    """What everybody gets."""
    return Message(
        id=0,
        tenant_id=TENANT,
        credential_id=1,
        source=Source.SMTP,
        traffic_class=TrafficClass.BULK,
        envelope_from="news@sender.example",
        header_from="news@sender.example",
        message_id="<1@sender.example>",
        subject="News",
        size=20_000,
        accepted_at=start,
        client="127.0.0.1",
        tags=(),
        metadata="",
        smtputf8=False,
        body_8bit=False,
        ret="",
        envid="",
        dsn=False,
        return_path_mode=ReturnPathMode.RECIPIENT,
        bounce_domain="bounce.sender.example",
        signing_domain="sender.example",
        signature=b"",
    )
