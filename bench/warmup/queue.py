"""Queue: mail that waits for each receiver, and what an answer leads to; the same for all senders.

Recipients that stand at the same point wait as one entry with a count: those never tried, and those that are
to be tried again at about the same time, which is put off a little. What an answer means and when it is tried again is said by the product
(mta.outcome) with the box's own retry schedule; who is due first goes first.
"""

from __future__ import annotations

import functools
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
from mta.status import Status, TrafficClass
from warmup.world import BEFORE_RCPT

if TYPE_CHECKING:
    from mta.outcome.classify import Verdict
    from warmup.figures import Figures, Receiver, Saying

TENANT: Final = 1


class _Recorder(Recorder):
    """The answers of a world are few: each is judged once."""

    def _verdict(self, result: RecipientResult, attempt: Attempt) -> Verdict:
        return _judged(attempt.host, result)


class Entry:
    """So many recipients at the same point."""

    __slots__ = ("count", "recipient")

    def __init__(self, recipient: Recipient, count: int) -> None:
        self.recipient, self.count = recipient, count


_Line = tuple[str, str]  # receiver, and the address that has to try again; "" = any


class Queue:
    """Everything one sender has to send.

    `joins`: retries within so many ms are one; `keeps`: a retry waits for the address that was answered.
    """

    def __init__(self, figures: Figures, seed: int, *, joins: int, keeps: bool) -> None:
        dice, usual = random.Random(f"{seed}/retries"), QueueSettings()
        lifetime = figures.run.lifetime_days * clock.DAY
        waits = tuple(int(seconds * clock.SECOND) for seconds in usual.retry)
        schedule = RetrySchedule(
            waits=waits, jitter=usual.jitter, lifetime=lifetime, bulk_lifetime=lifetime
        )
        self._recorder, self._keeps = _Recorder(schedule, dice.random), keeps
        self.message = message(figures.start)
        self._joins = joins
        self._ids = itertools.count(1)
        self._expiry = figures.start + lifetime
        self._heaps: dict[_Line, list[tuple[int, int, Entry]]] = {}
        self._joining: dict[tuple[_Line, int, int, str], Entry] = {}
        self.fresh = {
            one.name: Entry(self._new(one, figures.start), figures.backlog_of(one))
            for one in figures.receiver
        }

    def due(self, receiver: Receiver, now: int) -> Entry | None:
        """Who goes next, the longest waiting first; None when nobody is due."""
        fresh = self.fresh[receiver.name]
        return fresh if fresh.count else self.retry_due(receiver, "", now)

    def retry_due(self, receiver: Receiver, address: str, now: int) -> Entry | None:
        """Who is tried again now."""
        heap = self._heaps.get((receiver.name, address))
        while heap and not heap[0][2].count:
            heapq.heappop(heap)
        return heap[0][2] if heap and heap[0][0] <= now else None

    def next_due(self, receiver: Receiver) -> int:
        """When the first of those who wait is due; 0 when nobody waits."""
        heap = self._heaps.get((receiver.name, ""))
        return heap[0][0] if heap else 0

    def settle(
        self,
        receiver: Receiver,
        entry: Entry,
        attempt: Attempt,
        count: int,
        treatment: Treatment = AS_SAID,
    ) -> tuple[Recorded, Recipient | None]:
        """What an answer to so many of an entry leads to, and who waits again for it."""
        before = entry.recipient
        [recorded] = self._recorder.attempt(
            self.message, [before], attempt, attempt.ended_at, {before.n: treatment}
        )
        if recorded.decision.status is not Status.DEFERRED:
            return recorded, None
        after = replace(
            before,
            message_id=next(self._ids),
            status=Status.DEFERRED,
            attempts=before.attempts + 1,
            due_at=recorded.decision.due_at,
            last_egress=attempt.egress,
        )
        self._push(receiver, after, count, alone=bool(treatment.at))
        return recorded, after

    def _push(self, receiver: Receiver, recipient: Recipient, count: int, *, alone: bool) -> None:
        """`alone`: it is known by its id."""
        line = (receiver.name, recipient.last_egress if self._keeps else "")
        due = recipient.due_at if alone else -(-recipient.due_at // self._joins) * self._joins
        place = (line, due, recipient.attempts, recipient.last_egress)
        joined = None if alone else self._joining.get(place)
        if joined is not None and joined.count:
            joined.count += count
            return
        entry = Entry(recipient, count)
        if not alone:
            self._joining[place] = entry
        heapq.heappush(self._heaps.setdefault(line, []), (due, recipient.message_id, entry))

    def _new(self, receiver: Receiver, start: int) -> Recipient:
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


def attempt_of(receiver: Receiver, egress: str, said: Saying, now: int) -> Attempt:
    """A transaction for one recipient that got this answer."""
    return Attempt(
        results=_result(receiver.host, said),
        host=receiver.host,
        address="192.0.2.25",
        egress=egress,
        tls="",
        steps=(),
        started_at=now,
        ended_at=now,
        rcpt_sent=int(said.phase not in BEFORE_RCPT),
    )


@functools.cache
def _result(host: str, said: Saying) -> tuple[RecipientResult]:
    reply = said.answer
    scope = classify(reply, phase=said.phase, provider=host).scope
    return (RecipientResult(n=0, reply=reply, phase=said.phase, scope=scope),)


@functools.cache
def _judged(host: str, result: RecipientResult) -> Verdict:
    return classify(result.reply, phase=result.phase, provider=host, sole_recipient=True)


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
    )
