"""Destinations: the domains where most waits or goes, with what is known of the way there; for the overview.

One row a domain: what waits and is held (some seconds old where much waits), what was delivered in the
last minute, the connections to its site, and why its oldest mail waits: what keeps it back, else the
remote's last words. Bounded by what it is given: nothing is counted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appliance.run.delivery import Delivery
    from mta.scheduling.lane import Lane

Row = dict[str, Any]


def destinations(
    groups: Iterable[Row], delivered: Mapping[str, int], deliveries: Sequence[Delivery], most: int
) -> list[Row]:
    """The fullest, then the busiest. `groups` as in a summary by domain."""
    rows: dict[str, Row] = {}
    for group in groups:
        _add(rows.setdefault(group["name"], _row(group["name"])), group)
    for domain, number in delivered.items():
        rows.setdefault(domain, _row(domain))["delivered"] = number
    found = sorted(rows.values(), key=_weight, reverse=True)[:most]
    lanes = _by_site(lane for delivery in deliveries for lane in delivery.dispatcher.lanes)
    for row in found:
        _complete(row, deliveries, lanes)
    return found


def _row(domain: str) -> Row:
    return {
        "domain": domain,
        "provider": "",
        "waiting": 0,
        "held": 0,
        "oldest": 0,
        "delivered": 0,
        "connections": 0,
        "words": "",
    }


def _add(row: Row, group: Row) -> None:
    is_held = group["status"] == Status.HELD
    row["held" if is_held else "waiting"] += group["count"]
    is_older = not row["oldest"] or group["oldest"] < row["oldest"]
    row["oldest"] = group["oldest"] if is_older else row["oldest"]
    if group["reason"] and (is_older or not row["words"]):
        row["words"] = group["reason"]


def _weight(row: Row) -> tuple[int, int]:
    return row["waiting"] + row["held"], row["delivered"]


def _by_site(lanes: Iterable[Lane]) -> dict[str, list[Lane]]:
    found: dict[str, list[Lane]] = {}
    for lane in lanes:
        found.setdefault(lane.site.name, []).append(lane)
    return found


def _complete(row: Row, deliveries: Sequence[Delivery], lanes: dict[str, list[Lane]]) -> None:
    """What is known of the domain's site."""
    for delivery in deliveries:
        site = delivery.dispatcher.sites.last_known(row["domain"])
        if site is None:
            continue
        there = lanes.get(site.name, [])
        row["provider"] = delivery.operations.census.provider_of(row["domain"])
        row["connections"] = sum(lane.connections for lane in there)
        row["words"] = row["words"] or next((one.last_words for one in there if one.last_words), "")
        return
