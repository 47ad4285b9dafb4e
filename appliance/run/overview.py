"""Overview: what an mta process does this moment, as plain tables for `pillarbox top`.

    at, process
    series      recipients of each of the last sixty seconds: accepted, delivered, deferred, bounced
    flows       each egress at each provider: the last minute, what is ready, connections, and `states`:
                by kind (suspended, slowed, warming, paused, disabled, draining) the words for it
    destinations  the domains where most waits or goes (appliance/run/destinations.py)
    lanes       the fullest lanes, with the receiver's last words
    blocked     what is waited for, by how many (tenant, class, domain) keys
    queue       a summary by domain, some seconds old where much waits, without its groups
    memory      recipients in memory (ready, being sent), and how many may be; connections, likewise
    commit      milliseconds of a commit: the middle one and the 99th of a hundred
    stops       kill switch, pauses and suspended tenants, in words

Costs milliseconds, however much waits: everything but `queue` is in memory, and that is counted at most
a twentieth of the time. Bounded: the longest lists are cut at MOST entries.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.run.destinations import destinations
from appliance.run.queue_summary import merged, summary_row
from mta.egress import EgressState
from mta.scheduling.census import By
from mta.scheduling.gate import egress_paused, paused_words
from mta.scheduling.traffic import Kind
from mta.shaping.throttle import Subject, time_words
from mta.warmup.model import OTHER, WarmupState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.run.mta import Mta
    from mta.directory import Directory
    from mta.scheduling.lane import Lane
    from mta.scheduling.regulator import Regulator

MOST: Final = 50
Row = dict[str, Any]


class Overview:
    """Of one process."""

    def __init__(self, mta: Mta) -> None:
        self._mta = mta

    async def answer(self, _: object) -> Row:
        """The tables."""
        mta, now = self._mta, clock.now_ms()
        lanes = [lane for delivery in mta.deliveries for lane in delivery.dispatcher.lanes]
        median, most = mta.traffic.commit_seconds()
        queue = await self._queue()
        groups = queue.pop("groups")
        return {
            "at": now,
            "process": mta.context.name,
            "series": {kind.value: counts for kind, counts in mta.traffic.series().items()},
            "flows": self._flows(lanes, now),
            "destinations": destinations(groups, mta.traffic.domains(), mta.deliveries, MOST),
            "lanes": [_lane(lane) for lane in sorted(lanes, key=len, reverse=True)[:MOST]],
            "blocked": self._blocked(now),
            "queue": queue,
            "memory": self._memory(lanes),
            "commit": {"median_ms": round(median * 1000, 2), "p99_ms": round(most * 1000, 2)},
            "stops": _stops(mta.current(), now),
        }

    async def _queue(self) -> Row:
        censuses = [delivery.operations.census for delivery in self._mta.deliveries]
        return merged([summary_row(By.DOMAIN, await census.latest(MOST)) for census in censuses])

    def _memory(self, lanes: list[Lane]) -> Row:
        mta = self._mta
        settings = mta.context.settings
        return {
            "recipients": sum(delivery.dispatcher.in_memory for delivery in mta.deliveries),
            "recipients_max": settings.queue.ready_recipients * len(mta.deliveries),
            "ready": sum(len(lane) for lane in lanes),
            "being_sent": sum(delivery.operations.being_sent for delivery in mta.deliveries),
            "connections": sum(delivery.sender.connections for delivery in mta.deliveries),
            "connections_max": settings.delivery.max_connections * len(mta.deliveries),
        }

    def _blocked(self, now: int) -> list[Row]:
        """What is waited for; what waits for the same thing in several shards is one."""
        keys, until = Counter[str](), dict[str, int]()
        for delivery in self._mta.deliveries:
            for blocked, number in delivery.dispatcher.blocked():
                keys[blocked.why] += number
                until[blocked.why] = max(until.get(blocked.why, 0), blocked.until)
        return [
            {"why": why, "keys": number, "until_at": until[why]}
            for why, number in keys.most_common(MOST)
        ]

    # -- flows -----------------------------------------------------------------

    def _flows(self, lanes: list[Lane], now: int) -> list[Row]:
        found: dict[tuple[str, str], Row] = {}

        def row(egress: str, provider: str) -> Row:
            return found.setdefault((egress, provider), _flow(egress, provider))

        for (egress, provider), counts in self._mta.traffic.flows().items():
            row(egress, provider).update({kind.value: n for kind, n in counts.items()})
        for lane in lanes:
            one = row(lane.egress.name, lane.zone.provider.name or OTHER)
            one["ready"] += len(lane)
            one["connections"] += lane.connections
            one["sites"] += 1
        for egress, provider, kind, words in self._states(now):
            row(egress, provider)["states"].setdefault(kind, words)
        order = sorted(found.values(), key=_weight, reverse=True)
        return order[: 4 * MOST]

    def _states(self, now: int) -> Iterator[tuple[str, str, str, str]]:
        """Egress, provider, kind of state, words."""
        directory, regulator = self._mta.current(), self._mta.regulator
        yield from _throttled(regulator, now)
        for usage in regulator.ledger.describe(now):
            plan = usage.plan
            where = plan.egress, plan.provider
            if plan.state is WarmupState.PAUSED:
                yield *where, "paused", f"warmup paused: {plan.why}"
            else:
                unit = "this hour" if plan.is_hourly else "today"
                of = f"{usage.used:,} of {plan.limit:,} {unit}"
                yield *where, "warming", f"warming {plan.stage + 1}/{plan.stages}: {of}"
        for name, entry in directory.egress.entries.items():
            pause = egress_paused(directory, name, now)
            if pause is not None:
                yield name, "", "paused", paused_words(pause)
            if entry.state is not EgressState.ENABLED:
                yield name, "", entry.state.value, f"{entry.state.value}: {entry.why}".rstrip(": ")


def _throttled(regulator: Regulator, now: int) -> Iterator[tuple[str, str, str, str]]:
    """What answers have changed; for receivers without a name, how many sites that concerns."""
    providers, sites = regulator.book().providers, Counter[tuple[str, str]]()
    for throttle in regulator.throttles.live():
        subject = throttle.subject
        if subject != Subject(subject.egress, subject.zone):
            continue  # one tenant, or one domain
        kind = "suspended" if throttle.suspended_until > now else "slowed"
        if subject.zone in providers:
            yield subject.egress, subject.zone, kind, throttle.state(now)
        else:
            sites[subject.egress, kind] += 1
    for (egress, kind), number in sites.items():
        yield egress, OTHER, kind, f"{number} site{'s'[: number != 1]} {kind}"


def _flow(egress: str, provider: str) -> Row:
    return {
        "egress": egress,
        "provider": provider,
        **{kind.value: 0 for kind in Kind if kind is not Kind.ACCEPTED},
        "ready": 0,
        "connections": 0,
        "sites": 0,
        "states": {},
    }


def _weight(row: Row) -> tuple[int, int, int]:
    traffic = sum(int(row[kind.value]) for kind in Kind if kind is not Kind.ACCEPTED)
    return traffic, row["ready"], len(row["states"])


def _lane(lane: Lane) -> Row:
    return {
        "egress": lane.egress.name,
        "site": lane.site.name,
        "provider": lane.zone.provider.name or OTHER,
        "ready": len(lane),
        "connections": lane.connections,
        "last_words": lane.last_words,
    }


def _stops(directory: Directory, now: int) -> list[str]:
    stop = directory.kill_switch
    found = (
        []
        if stop is None
        else [f"the kill switch is ON since {time_words(stop.at, now)} by {stop.by}: {stop.reason}"]
    )
    found += [paused_words(pause) for pause in directory.pauses if not 0 < pause.expires_at <= now]
    suspended = [tenant for tenant in directory.tenants.values() if tenant.suspended]
    return found + [f"tenant {one.name} is suspended: {one.suspended_reason}" for one in suspended]
