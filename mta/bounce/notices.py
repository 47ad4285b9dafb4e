"""Notices: which outcomes a sender is told of, as messages ready for the spool (MTA-11).

They are stored in the same commit as the outcome they tell of: no crash loses one or makes two.
Never for the null sender (no bounces of bounces) and never when the login's DSN is off (bulk: off).
A sender gets at most `per_hour` an hour from one process; the rest becomes one summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock, ids
from mta.bounce.model import Action
from mta.bounce.notice import (
    ReportedRecipient,
    Reporter,
    wants_notice,
    write_notice,
    write_summary,
)
from mta.message import Admitted, Message, Recipient, ReturnPathMode, Source
from mta.outcome.category import Category
from mta.status import EventKind, Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mta.directory import Directory
    from mta.outcome.decide import RetrySchedule
    from mta.outcome.record import Recorded
    from mta.spool.shard import Shard

DELAY_AFTER = 4
"""A sender who asked for NOTIFY=DELAY hears of it once, after the fourth failed attempt."""

MAX_SENDERS = 10_000

_ACTIONS = {
    EventKind.BOUNCED: Action.FAILED,
    EventKind.EXPIRED: Action.FAILED,
    EventKind.CORRUPT: Action.FAILED,
    EventKind.DELIVERED: Action.RELAYED,
    EventKind.DEFERRED: Action.DELAYED,
}


@dataclass(slots=True)
class _Hour:
    """What one sender was told in the running hour."""

    since: int
    tenant_id: int
    sent: int = 0
    kept_back: int = 0


class Notices:
    """Makes the notices of one shard."""

    def __init__(
        self,
        *,
        shard: Shard,
        directory: Callable[[], Directory],
        schedule: RetrySchedule,
        hostname: str,
        per_hour: int,
    ) -> None:
        self._shard, self._directory, self._schedule = shard, directory, schedule
        self._hostname, self._per_hour = hostname, per_hour
        self._hours: dict[str, _Hour] = {}

    def for_outcomes(
        self, message: Message, outcomes: Sequence[Recorded], content: bytes
    ) -> list[Admitted]:
        """One notice for all recipients of an attempt that the sender is to hear of; or none."""
        if not message.envelope_from or not message.dsn or message.source.is_ours:
            return []
        told = [reported for outcome in outcomes if (reported := _reported(outcome)) is not None]
        now = clock.now_ms()
        if not told or not self._may_tell(message, now):
            return []
        message_id = self._shard.new_id(now)
        text = write_notice(
            message, told, content=content, reporter=self._reporter(message_id, now)
        )
        return [self._admitted(message_id, message.tenant_id, message.envelope_from, text, now)]

    def summaries(self, now: int) -> Iterator[Admitted]:
        """A summary for each sender whose hour is over and who was not told of everything.

        Whoever asks for the next one has stored the one before: only then is it done with, and one that
        could not be stored is made anew at the next look.
        """
        over = [(to, hour) for to, hour in self._hours.items() if hour.since + clock.HOUR <= now]
        for to, hour in over:
            told = hour.kept_back
            if told:
                yield self._summary(to, hour, now)
                hour.kept_back -= told
            if hour.kept_back:  # more came while it was stored
                hour.since, hour.sent = now, 0
            elif self._hours[to] is hour:  # no new one has begun
                del self._hours[to]

    def _summary(self, to: str, hour: _Hour, now: int) -> Admitted:
        message_id = self._shard.new_id(now)
        reporter = self._reporter(message_id, now)
        text = write_summary(to, hour.kept_back, since=hour.since, reporter=reporter)
        return self._admitted(message_id, hour.tenant_id, to, text, now)

    def _may_tell(self, message: Message, now: int) -> bool:
        hour = self._hours.get(message.envelope_from)
        if hour is None or (hour.since + clock.HOUR <= now and not hour.kept_back):
            if len(self._hours) >= MAX_SENDERS:
                return False
            hour = self._hours[message.envelope_from] = _Hour(now, message.tenant_id)
        if hour.sent >= self._per_hour:
            hour.kept_back += 1
            return False
        hour.sent += 1
        return True

    def _reporter(self, message_id: int, now: int) -> Reporter:
        return Reporter(hostname=self._hostname, notice_id=ids.to_text(message_id), now=now)

    def _admitted(
        self, message_id: int, tenant_id: int, to: str, content: bytes, now: int
    ) -> Admitted:
        domain = self._directory().box_keys
        message = Message(
            id=message_id,
            tenant_id=tenant_id,
            credential_id=0,
            source=Source.NOTICE,
            traffic_class=TrafficClass.TRANSACTIONAL,
            envelope_from="",
            header_from=f"MAILER-DAEMON@{self._hostname}",
            message_id=f"<{ids.to_text(message_id)}@{self._hostname}>",
            subject=_subject_of(content),
            size=len(content),
            accepted_at=now,
            client="",
            tags=(),
            metadata="",
            smtputf8=not to.isascii(),
            body_8bit=not content.isascii(),
            ret="",
            envid="",
            dsn=False,
            return_path_mode=ReturnPathMode.MESSAGE,
            bounce_domain="",
            signing_domain=domain.name if domain is not None and domain.keys else "",
        )
        recipient = Recipient(
            message_id=message_id,
            n=0,
            tenant_id=tenant_id,
            traffic_class=message.traffic_class,
            address=to,
            domain=to.rpartition("@")[2],
            status=Status.QUEUED,
            due_at=now,
            expires_at=self._schedule.expiry(now, message.traffic_class),
        )
        return Admitted(
            message=message,
            recipients=(recipient,),
            content=content,
            selectors=domain.selectors if domain is not None else (),
        )


def _subject_of(content: bytes) -> str:
    _, _, rest = content.partition(b"\r\nSubject: ")
    return rest.partition(b"\r\n")[0].decode("utf-8", "replace")


def _reported(outcome: Recorded) -> ReportedRecipient | None:
    decision, settlement = outcome.decision, outcome.settlement
    recipient = settlement.recipient
    action = _ACTIONS.get(decision.event)
    if action is None:  # suppressed: an event tells of it, and nothing else
        return None
    if action is Action.DELAYED and recipient.attempts + 1 != DELAY_AFTER:
        return None
    if action is Action.RELAYED and outcome.dsn_passed:
        return None  # the next hop took over telling the sender
    if not wants_notice(recipient.notify, action):
        return None
    return ReportedRecipient(
        address=recipient.address,
        orcpt=recipient.orcpt,
        action=action,
        reply=outcome.reply,
        category=Category.OTHER if outcome.verdict is None else outcome.verdict.category,
        reason=settlement.reason if outcome.verdict is None else "",
        expired=decision.event is EventKind.EXPIRED,
        remote_mta=settlement.host,
        last_attempt_at=settlement.event.at if settlement.tried else 0,
        will_retry_until=recipient.expires_at if action is Action.DELAYED else 0,
    )
