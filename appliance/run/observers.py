"""Observers: what intake, sender and committer report, as metrics, warnings and rates of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.metrics import OTHER
from appliance.run.hold_notice import HoldNotice
from mta.scheduling.traffic import Kind, Traffic
from mta.status import EventKind

if TYPE_CHECKING:
    from appliance.core.metrics import Metrics
    from mta.directory import Credential, Directory
    from mta.message import Admitted, Attempt, Message
    from mta.outcome.record import Recorded


_COUNTED: Final = {
    EventKind.DELIVERED: Kind.DELIVERED,
    EventKind.DEFERRED: Kind.DEFERRED,
    EventKind.BOUNCED: Kind.BOUNCED,
    EventKind.EXPIRED: Kind.BOUNCED,
}


class Observers:
    """One for each mta process."""

    def __init__(self, metrics: Metrics, directory: Directory) -> None:
        self._metrics = metrics
        self.directory = directory  # replaced when it changes
        self.traffic = Traffic(clock.monotonic)
        self._hold_notice = HoldNotice()

    def accepted(self, admitted: Admitted) -> None:
        """A message is durable."""
        message, metrics = admitted.message, self._metrics
        self.traffic.accepted(len(admitted.recipients))
        metrics.accepted.inc(message.source)
        metrics.accepted_bytes.inc(by=message.size)
        metrics.accepted_recipients.inc(
            self._tenant(message.tenant_id), by=len(admitted.recipients)
        )

    def held(self, credential: Credential, recipients: int) -> None:
        """Mail of a credential above its usual rate is kept back."""
        self._hold_notice.tell(credential, self._tenant(credential.tenant_id), recipients)

    def committed(self, jobs: int, seconds: float) -> None:
        """A batch became durable; called in the committing thread."""
        self.traffic.committed(seconds)
        self._metrics.commit_seconds.observe(seconds)
        self._metrics.commit_size.observe(jobs)

    def outcome(self, message: Message, outcome: Recorded, attempt: Attempt) -> None:
        """One recipient of one attempt."""
        metrics, kind = self._metrics, outcome.decision.event
        provider = attempt.provider or OTHER
        if kind in _COUNTED:
            domain = outcome.settlement.recipient.domain
            self.traffic.outcome(attempt.egress, provider, domain, _COUNTED[kind])
        if kind is EventKind.DELIVERED:
            metrics.delivered.inc(provider, attempt.egress)
            metrics.delivery_seconds.observe((attempt.ended_at - message.accepted_at) / 1000)
        elif kind is EventKind.DEFERRED:
            metrics.deferred.inc(provider, attempt.egress)
        elif kind is EventKind.BOUNCED and outcome.verdict is not None:
            metrics.bounced.inc(provider, outcome.verdict.category)
        elif kind is EventKind.EXPIRED:
            metrics.expired.inc()
        metrics.attempt_seconds.observe((attempt.ended_at - attempt.started_at) / 1000, provider)
        metrics.tenant_outcomes.inc(self._tenant(message.tenant_id), kind)

    def _tenant(self, tenant_id: int) -> str:
        tenant = self.directory.tenants.get(tenant_id)
        return tenant.name if tenant is not None else str(tenant_id)
