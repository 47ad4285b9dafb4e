"""Record: turn what receivers said into settlements and events; the only writer of outcomes.

Classify and decide are pure; this file asks them, words the event, and hands everything to the
shard in one job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.message import RecipientResult
from mta.outcome.classify import classify
from mta.outcome.decide import AS_SAID, Decision, RetrySchedule, Treatment, decide
from mta.reply import Reply
from mta.spool.batch import Event, Settlement
from mta.status import EventKind, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mta.message import Attempt, Message, Recipient
    from mta.outcome.classify import Verdict
    from mta.status import Scope, Status

NO_TREATMENTS: Mapping[int, Treatment] = {}
MAX_STEPS = 64
"""Steps of a conversation kept with each event."""

_BEFORE_MAIL = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH})
"""What a host says before it knows the message never bounces it: another try may meet another host
(a 554 greeting speaks of the host or of our address, RFC 5321 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The outcome of one recipient: what is stored, and what was decided (for notices, metrics)."""

    settlement: Settlement
    reply: Reply
    verdict: Verdict | None  # None on success
    decision: Decision
    dsn_passed: bool = False  # the next hop took over NOTIFY and ORCPT (RFC 3461 5.2.1)


class Recorder:
    """Words outcomes. `roll` gives numbers in [0, 1)."""

    def __init__(self, schedule: RetrySchedule, roll: Callable[[], float]) -> None:
        self._schedule, self._roll = schedule, roll

    def attempt(
        self,
        message: Message,
        recipients: list[Recipient],
        attempt: Attempt,
        now: int,
        treatments: Mapping[int, Treatment] = NO_TREATMENTS,
    ) -> list[Recorded]:
        """Outcomes of a transaction; `treatments` by recipient, where shaping has a say."""
        by_n = {recipient.n: recipient for recipient in recipients}
        trail = _trail(attempt)
        return [
            self._one(
                message,
                by_n[result.n],
                result,
                attempt,
                trail,
                now,
                treatments.get(result.n, AS_SAID),
            )
            for result in attempt.results
        ]

    def _verdict(self, result: RecipientResult, attempt: Attempt) -> Verdict:
        return classify(
            result.reply,
            phase=result.phase,
            provider=attempt.host,
            sole_recipient=len(attempt.results) == 1,
        )

    def _one(  # noqa: PLR0913 - the facts of one decision
        self,
        message: Message,
        recipient: Recipient,
        result: RecipientResult,
        attempt: Attempt,
        trail: dict[str, object],
        now: int,
        treatment: Treatment,
    ) -> Recorded:
        reply = result.reply
        verdict = None if reply.is_success else self._verdict(result, attempt)
        decision = decide(
            recipient,
            success=reply.is_success,
            permanent=_is_permanent(verdict, result, treatment),
            now=now,
            schedule=self._schedule,
            roll=self._roll(),
            treatment=treatment,
        )
        data: dict[str, object] = {
            "tenant": recipient.tenant_id,
            "to": recipient.address,
            "reply": reply.line(),
            "phase": result.phase,
            "attempt": recipient.attempts + 1,
            **trail,
        }
        if verdict is not None:
            data |= _why(verdict, decision)
        event = Event(message_id=message.id, n=recipient.n, kind=decision.event, at=now, data=data)
        return Recorded(
            settlement=Settlement(
                recipient=recipient,
                status=decision.status,
                due_at=decision.due_at,
                reason="" if reply.is_success else reply.line(),
                host=attempt.host,
                egress=attempt.egress,
                event=event,
            ),
            reply=reply,
            verdict=verdict,
            decision=decision,
            dsn_passed=attempt.dsn_passed,
        )


def plain(
    recipient: Recipient, status: Status, kind: EventKind, reason: str, now: int
) -> Settlement:
    """A final state reached without an attempt: suppressed, corrupt."""
    return Settlement(
        recipient=recipient,
        status=status,
        due_at=0,
        reason=reason,
        host="",
        egress="",
        event=Event(
            message_id=recipient.message_id,
            n=recipient.n,
            kind=kind,
            at=now,
            data={"tenant": recipient.tenant_id, "to": recipient.address, "reason": reason},
        ),
        tried=False,
    )


def untried(settlement: Settlement) -> Recorded:
    """A final state reached without an attempt, as an outcome that its sender can be told of."""
    kind = settlement.event.kind
    code, enhanced = (451, "4.4.7") if kind is EventKind.EXPIRED else (554, "5.3.0")
    return Recorded(
        settlement=settlement,
        reply=Reply(code, enhanced, settlement.reason),
        verdict=None,
        decision=Decision(status=settlement.status, event=kind, due_at=0),
    )


def without_connection(
    recipients: list[Recipient], reply: Reply, phase: Phase, scope: Scope
) -> tuple[RecipientResult, ...]:
    """The same answer for everybody, when no transaction took place."""
    return tuple(RecipientResult(n=r.n, reply=reply, phase=phase, scope=scope) for r in recipients)


def _is_permanent(verdict: Verdict | None, result: RecipientResult, treatment: Treatment) -> bool:
    if verdict is None or result.phase in _BEFORE_MAIL:
        return False
    return verdict.is_permanent if treatment.permanent is None else treatment.permanent


def _trail(attempt: Attempt) -> dict[str, object]:
    return {
        "provider": attempt.provider,
        "host": attempt.host,
        "address": attempt.address,
        "egress": attempt.egress,
        "tls": attempt.tls,
        "took": attempt.ended_at - attempt.started_at,
        "steps": [[s.at, s.command, s.reply] for s in attempt.steps[:MAX_STEPS]],
    }


def _why(verdict: Verdict, decision: Decision) -> dict[str, object]:
    return {
        "category": verdict.category,
        "hard": verdict.suppress,
        "scope": verdict.scope,
        "next": decision.due_at,
    }
