"""Gauges: the queue, warmup budgets and throttles as they stand, read when somebody asks for the metrics.

Each mta process counts its own shards' queue: add these up. Budgets and throttles are shared, and every
process knows them all (budgets as it last saw them): take the largest over processes, not the sum.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.metrics import OTHER
from appliance.run.overview import MOST
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.core.metrics import Metrics
    from mta.scheduling.census import Census
    from mta.scheduling.regulator import Regulator
    from mta.shaping.throttle import Throttle

_WAITING: Final = (Status.QUEUED, Status.DEFERRED, Status.HELD)


async def show_queue(metrics: Metrics, censuses: Iterable[Census], now: int) -> None:
    """Set the gauges of what waits; some seconds old where much does."""
    counts, oldest = Counter[str](), now
    for census in censuses:
        found = await census.latest(MOST)
        counts.update(found.counts)
        oldest = min(oldest, found.oldest or now)
    for status in _WAITING:
        metrics.queue_depth.set(counts[status], status)
    metrics.queue_oldest.set((now - oldest) / clock.SECOND)


def show_regulation(metrics: Metrics, regulator: Regulator, now: int) -> None:
    """Set the gauges of warmup and throttles."""
    budgets = {
        (usage.plan.egress, usage.plan.provider or OTHER): usage
        for usage in regulator.ledger.describe(now)
    }
    metrics.warmup_used.show({name: usage.used for name, usage in budgets.items()})
    metrics.warmup_limit.show({name: usage.plan.limit for name, usage in budgets.items()})
    named = regulator.book().providers
    metrics.throttles.show(
        Counter(
            (each.subject.zone if each.subject.zone in named else OTHER, _kind(each, now))
            for each in regulator.throttles.live()
        )
    )


def _kind(throttle: Throttle, now: int) -> str:
    return "suspended" if throttle.suspended_until > now else "slowed"
