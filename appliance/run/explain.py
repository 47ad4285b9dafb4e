"""Explain: why mail to a domain goes as fast as it goes, or does not; the answer of one mta process.

Which hosts and which provider, what limits hold, and for every egress address: its state, how far its
warmup is, whether the site answers, and what throttles hold with the receiver's words and their history.
Plain tables, for the command line and the console.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.core import clock
from mta.shaping.moves import next_at, normal_at
from mta.transport.base import RouteError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from appliance.run.current import Current
    from mta.egress import EgressEntry
    from mta.scheduling.regulator import Regulator
    from mta.shaping.model import Limits, Zone
    from mta.shaping.throttle import Throttle
    from mta.transport.base import Router, Site
    from mta.warmup.ledger import Usage


def explainer(
    router: Router, regulator: Regulator, current: Current
) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """The method `shaping_explain {domain}`."""

    async def explain(payload: dict[str, Any]) -> dict[str, Any]:
        domain = str(payload["domain"])
        try:
            site = await router.site_of(domain)
        except RouteError as error:
            return {"domain": domain, "route": error.reply.line(), "egresses": []}
        zone, now = regulator.zone_of(site), clock.now_ms()
        entries = current().egress.entries.values()
        usages = {(u.plan.egress, u.plan.provider): u for u in regulator.ledger.describe(now)}
        return {
            "domain": domain,
            "route": "",
            "site": site.name,
            "hosts": [host.name for host in site.hosts],
            "tls_policy": site.policy,
            "zone": zone.key,
            "provider": zone.provider.name,
            "title": zone.title,
            "limits": _limits(zone.provider.limits),
            "egresses": [_egress(entry, site, zone, regulator, usages, now) for entry in entries],
        }

    return explain


def together(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answers of all processes as one: they share all but their connections."""
    found = answers[0]
    for other in answers[1:]:
        for mine, theirs in zip(found["egresses"], other["egresses"], strict=False):
            mine["connections"] += theirs["connections"]
            mine["unreachable"] = mine["unreachable"] or theirs["unreachable"]
    return found


def _egress(
    entry: EgressEntry,
    site: Site,
    zone: Zone,
    regulator: Regulator,
    usages: dict[tuple[str, str], Usage],
    now: int,
) -> dict[str, Any]:
    egress = entry.egress
    closed = regulator.unreachable.wait(egress.name, site, now)
    usage = usages.get((egress.name, zone.provider.name)) or usages.get((egress.name, "other"))
    is_direct = not site.is_smarthost
    return {
        "name": egress.name,
        "address": egress.address or egress.address6,
        "state": entry.state,
        "why": entry.why,
        "connections": regulator.connections_of(egress.name, zone),
        "unreachable": closed.why if closed is not None else "",
        "warmup": _warmup(usage) if usage is not None and is_direct else None,
        "rate": str(regulator.throttles.rate(egress.name, zone) or "none"),
        "throttles": _throttles(regulator.throttles.explain([egress.name], zone, now), zone, now),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "connections": limits.connections,
        "zone_connections": limits.zone_connections,
        "messages_per_connection": limits.messages_per_connection,
        "connection_rate": str(limits.connection_rate or "none"),
        "message_rate": str(limits.message_rate or "none"),
        "tls": limits.tls,
    }


def _warmup(usage: Usage) -> dict[str, Any]:
    plan = usage.plan
    return {
        "provider": plan.provider,
        "state": plan.state,
        "stage": plan.stage + 1,
        "stages": plan.stages,
        "used": usage.used,
        "limit": plan.limit,
        "next": usage.window.end,
        "why": plan.why,
    }


def _throttles(found: Iterable[Throttle], zone: Zone, now: int) -> list[dict[str, Any]]:
    limits = zone.provider.limits
    return [
        {
            "tenant_id": one.subject.tenant_id,
            "domain": one.subject.domain,
            "in_force": one.in_force,
            "state": one.state(now),
            "why": one.why,
            "next_at": next_at(one) if one.in_force else 0,
            "normal_at": normal_at(one, limits) if one.in_force else 0,
            "history": [{"at": change.at, "words": change.words} for change in one.history],
        }
        for one in found
    ]
