"""Blocked: what keeps mail at rest although it is due, as a value; pure.

Keys that wait for the same thing (one budget, one suspended zone, one full lane) share a place, so that
room for ten messages wakes some of them and not a hundred thousand. Keys that wait for different things
never share one: a place that is found closed again keeps everybody who waits there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mta.spool.store import QueueKey
    from mta.transport.base import Site

Place = tuple[str, ...]

CLOSED: Final = "closed"
"""How the places of what the directory keeps back begin: kill switch, suspended tenant, no address."""

PAUSED: Final = "paused"
LANE: Final = "lane"
WARMUP: Final = "warmup"
ZONE: Final = "zone"
SITE: Final = "site"
PACE: Final = "pace"


@dataclass(frozen=True, slots=True)
class Blocked:
    """Where to wait, until when at most (0: until somebody says so), and why, in words."""

    place: Place
    until: int
    why: str


def full_lane(pool: str, site: Site, key: QueueKey) -> Blocked:
    """The ready work of a site is as much as memory allows; it goes on as soon as some is sent."""
    place = lane_place(pool, site.key, key.tenant_id, key.traffic_class)
    return Blocked(place, 0, f"behind other mail that is ready for {site.name}")


def lane_place(pool: str, site_key: str, tenant_id: int, traffic_class: str) -> Place:
    """Where mail of a tenant waits for the full lanes of a pool to a site."""
    return (LANE, pool, site_key, str(tenant_id), str(traffic_class))
