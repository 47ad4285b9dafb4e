"""Blocked: what keeps mail at rest although it is due, as a value; pure.

Keys that wait for the same thing (one budget, one suspended zone, one full lane) share a place, so that
room for ten messages wakes some of them and not a hundred thousand. Keys that wait for different things
never share one: a place that is found closed again keeps everybody who waits there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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


def full_lane(pool: str, site: Site) -> Blocked:
    """The ready work of a site is as much as memory allows; it goes on as soon as some is sent."""
    return Blocked((LANE, pool, site.key), 0, f"behind other mail that is ready for {site.name}")
