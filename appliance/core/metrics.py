"""Metrics: what the box counts, over prometheus-client; each process has one Metrics and one registry.

    metrics.delivered.inc("gmail", "default")
    metrics.commit_seconds.observe(0.0012)

Labels are given in the order in which the metric declares them. Looking up a labelled child costs
prometheus-client microseconds and a lock, so each is kept: the hot path pays one dictionary look-up.
Cardinality is bounded: after LIMITS[label] distinct values of a label, further ones count as "other".
Metrics of one kind that would multiply (provider x tenant) are kept apart instead.

`render` answers a process's "metrics" method; `merge` makes one exposition of all processes' answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from appliance.core.metrics_merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "OTHER", "Bounded", "Counts", "Levels", "Metrics", "Spreads", "merge", "render", "watch_process",
]  # fmt: skip
M = TypeVar("M", Counter, Gauge, Histogram)
OTHER: Final = "other"
DEFAULT_LIMIT: Final = 50
LIMITS: Final = {"tenant": 200, "egress": 100, "enhanced": 100}
_FAST: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
_SLOW: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Bounded:
    """A label's values: the first `limit` distinct ones stand for themselves, the rest are "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """The value to count under."""
        if value in self._known:
            return value
        if len(self._known) >= self._limit:
            return OTHER
        self._known.add(value)
        return value


class _Family(Generic[M]):
    """A metric with its children by label values."""

    def __init__(self, metric: M, bounds: tuple[Bounded, ...]) -> None:
        self._metric: M = metric
        self._bounds = bounds
        self._children: dict[tuple[str, ...], M] = {} if bounds else {(): metric}

    def child(self, labels: tuple[str, ...]) -> M:
        """The child of these label values, after bounding them."""
        found = self._children.get(labels)
        return self._bounded_child(labels) if found is None else found

    def _bounded_child(self, labels: tuple[str, ...]) -> M:
        key = tuple(bound(value) for bound, value in zip(self._bounds, labels, strict=True))
        found = self._children.get(key)
        if found is None:
            # Only bounded values are kept as keys: strangers must not fill the memory.
            found = self._children[key] = self._metric.labels(*key)
        return found


class Counts(_Family[Counter]):
    """Something that only grows."""

    def inc(self, *labels: str, by: float = 1) -> None:
        """Count one more, or `by` more."""
        self.child(labels).inc(by)


class Levels(_Family[Gauge]):
    """Something that goes up and down."""

    def set(self, value: float, *labels: str) -> None:
        """It stands at `value` now."""
        self.child(labels).set(value)

    def add(self, change: float, *labels: str) -> None:
        """It has changed by so much."""
        self.child(labels).inc(change)

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """These stand so now, and nothing else does: what is not named any more is gone."""
        self._metric.clear()
        self._children.clear()
        for labels, value in values.items():
            self.set(value, *labels)

    def follow(self, read: Callable[[], float], *labels: str) -> None:
        """Ask `read` whenever somebody looks."""
        self.child(labels).set_function(read)


class Spreads(_Family[Histogram]):
    """How large something is, each time."""

    def observe(self, value: float, *labels: str) -> None:
        """It was so large this time."""
        self.child(labels).observe(value)


class Metrics:
    """Every metric of the box. What a process does not do stays at nothing and costs nothing."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # Without this each counter and histogram comes with a second series, its birthday.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # has no types
        self.registry = CollectorRegistry() if registry is None else registry
        self._bounds: dict[str, Bounded] = {}
        self._declare_intake()
        self._declare_sessions()
        self._declare_outcomes()
        self._declare_queue()
        self._declare_notices()
        self._declare_regulation()
        self._declare_webhooks()
        self._declare_vitals()

    def _declare_intake(self) -> None:
        self.accepted = self._counts(
            "accepted_messages", "Messages acknowledged after their fsync.", "source"
        )
        self.accepted_bytes = self._counts("accepted_bytes", "Octets of acknowledged messages.")
        self.accepted_recipients = self._counts(
            "accepted_recipients", "Recipients of acknowledged messages.", "tenant"
        )
        self.refused = self._counts(
            "refused", "Commands and messages refused, by enhanced status code.", "enhanced"
        )
        self.relay_refused = self._counts(
            "relay_refused", "Attempts to relay through the inbound listener, refused."
        )
        self.auth_failures = self._counts("auth_failures", "Logins that failed.", "listener")
        self.commit_seconds = self._spreads(
            "commit_seconds", "Seconds one commit of a shard took, fsync included.", _FAST
        )
        self.commit_size = self._spreads(
            "commit_size", "Messages and outcomes that shared one commit.", _BATCH
        )

    def _declare_sessions(self) -> None:
        self.connections_in = self._counts(
            "connections_in", "Connections that clients made.", "listener"
        )
        self.open_in = self._levels("open_connections_in", "Client sessions open now.", "listener")
        self.tls_in = self._counts(
            "tls_in", "TLS handshakes with clients: the version, or failed.", "result"
        )
        self.connections_out = self._counts(
            "connections_out", "Connections made to receivers: opened or failed.", "result"
        )
        self.open_out = self._levels("open_connections_out", "Connections to receivers open now.")
        self.tls_out = self._counts(
            "tls_out", "TLS handshakes with receivers: the version, none or failed.", "result"
        )

    def _declare_outcomes(self) -> None:
        lane = ("provider", "egress")
        self.delivered = self._counts("delivered", "Recipients delivered.", *lane)
        self.deferred = self._counts("deferred", "Attempts that will be repeated.", *lane)
        self.bounced = self._counts(
            "bounced", "Recipients that failed for good, by class.", "provider", "class"
        )
        self.expired = self._counts("expired", "Recipients given up at the end of their life.")
        self.suppressed = self._counts("suppressed", "Recipients on a suppression list, not tried.")
        self.cancelled = self._counts("cancelled", "Recipients cancelled by a person.")
        self.tenant_outcomes = self._counts(
            "tenant_outcomes", "Recipients settled, by tenant.", "tenant", "outcome"
        )
        self.attempt_seconds = self._spreads(
            "attempt_seconds", "Seconds from connection or MAIL to the last answer.", _SLOW, lane[0]
        )
        self.delivery_seconds = self._spreads(
            "delivery_seconds", "Seconds from acceptance to delivery.", _SLOW
        )

    def _declare_queue(self) -> None:
        self.queue_depth = self._levels(
            "queue_recipients", "Recipients that wait or are under way.", "status"
        )
        self.queue_oldest = self._levels(
            "queue_oldest_seconds", "Age of the oldest recipient that is not settled."
        )
        self.requeued = self._counts(
            "requeued_after_crash", "Recipients found without an outcome at start, queued again."
        )
        self.unrecorded = self._levels(
            "unrecorded_outcomes",
            "Answers of receivers not yet durable: the doubles that a crash now would make.",
        )

    def _declare_notices(self) -> None:
        self.bounces_in = self._counts(
            "bounces_in", "Notices received, by what was made of them.", "result"
        )
        self.complaints = self._counts("complaints", "Complaints received.", "provider")
        self.notices_out = self._counts("notices_out", "Failure notices sent to senders.")

    def _declare_regulation(self) -> None:
        budget = ("egress", "provider")
        self.warmup_used = self._levels(
            "warmup_used", "Recipients of today's (or this hour's) warmup budget sent.", *budget
        )
        self.warmup_limit = self._levels(
            "warmup_limit", "Recipients that warmup allows today (or this hour).", *budget
        )
        self.throttles = self._levels(
            "throttles", "What receivers' answers have slowed or suspended now.", "provider", "kind"
        )

    def _declare_webhooks(self) -> None:
        self.webhook_deliveries = self._counts(
            "webhook_deliveries", "Attempts to tell an endpoint of an event.", "outcome"
        )
        self.webhook_waiting = self._levels(
            "webhook_waiting", "Events read from the log that an endpoint has not taken yet."
        )
        self.webhook_lag = self._levels(
            "webhook_lag_seconds", "Age of the oldest event that an endpoint has not taken yet."
        )

    def _declare_vitals(self) -> None:
        self.generation = self._levels(
            "generation",
            "Version of what is set in control.db that a process goes by; equal when none lags.",
            "of",
        )
        self.notices = self._levels(
            "notices", "What is wrong now, as the console lists it.", "kind", "severity"
        )
        self.disk_free = self._levels("disk_free_bytes", "Free space where the spool lives.")
        self.disk_size = self._levels("disk_size_bytes", "All space where the spool lives.")
        self.certificate_ends = self._levels(
            "certificate_ends_timestamp_seconds", "When the TLS certificate ends; 0 = unreadable."
        )
        self.backup_made = self._levels(
            "backup_made_timestamp_seconds", "When the newest backup was made; 0 = none.", "folder"
        )
        self.caught_up = self._levels(
            "caught_up_timestamp_seconds",
            "When the event log, and the statistics, had last taken in all there was.",
            "of",
        )
        self.dns_lookups = self._counts(
            "dns_lookups", "Questions put to the name servers, by what came of them.", "result"
        )

    def _counts(self, name: str, text: str, *labels: str) -> Counts:
        counter = Counter(f"pillarbox_{name}", text, labels, registry=self.registry)
        return Counts(counter, self._bounds_of(labels))

    def _levels(self, name: str, text: str, *labels: str) -> Levels:
        gauge = Gauge(f"pillarbox_{name}", text, labels, registry=self.registry)
        return Levels(gauge, self._bounds_of(labels))

    def _spreads(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Spreads:
        histogram = Histogram(
            f"pillarbox_{name}", text, labels, buckets=buckets, registry=self.registry
        )
        return Spreads(histogram, self._bounds_of(labels))

    def _bounds_of(self, labels: tuple[str, ...]) -> tuple[Bounded, ...]:
        """One Bounded for each label name, so that "other" means the same in every metric."""
        for label in labels:
            self._bounds.setdefault(label, Bounded(LIMITS.get(label, DEFAULT_LIMIT)))
        return tuple(self._bounds[label] for label in labels)


def watch_process(registry: CollectorRegistry) -> None:
    """Add the process's own memory, CPU and open files, as prometheus-client names them."""
    prometheus_client.ProcessCollector(registry=registry)


def render(registry: CollectorRegistry) -> bytes:
    """The registry in the text format (0.0.4)."""
    return prometheus_client.generate_latest(registry)
