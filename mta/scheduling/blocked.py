"""Blocked: what keeps mail at rest although it is due, as a value; pure.

Keys that wait for the same thing (one budget, one suspended zone, one full lane) share a place, so that
room for ten messages wakes some of them and not a hundred thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Place = tuple[str, ...]

CLOSED: Final[Place] = ("closed",)
"""Kept back by the directory: kill switch, pause, suspended tenant, no enabled address."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Where to wait, until when at most (0: until somebody says so), and why, in words."""

    place: Place
    until: int
    why: str


def full_lane(site_key: str) -> Blocked:
    """The ready work of a site is as much as memory allows; it goes on as soon as some is sent."""
    site = site_key.rpartition(":")[0] or site_key
    return Blocked(("lane", site_key), 0, f"behind other mail that is ready for {site}")
