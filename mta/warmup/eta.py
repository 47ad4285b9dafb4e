"""Eta: when the last of a backlog leaves, by the plan of the addresses that share it; pure.

Two answers: if every day goes well (each address goes a stage further every day), and if every stage is
held where it stands. Within a day the backlog leaves evenly; an address that is warm takes all that is
left. Nothing further ahead than HORIZON is told: nobody plans by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.warmup.day import day_of, next_day, window_of_day
from mta.warmup.model import volume_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from mta.warmup.model import Window

HORIZON: Final = 400  # days


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An address that takes a share of the backlog, as it stands now."""

    volumes: Sequence[int]  # of its stages; empty: it is warm
    stage: int = 0
    is_hourly: bool = False
    used: int = 0  # in the window that runs
    paused_until: int = 0
    is_stopped: bool = False  # paused until a person says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """When the last leaves; None = not within HORIZON."""

    at_best: int | None  # every day goes well
    if_held: int | None  # no stage advances


def eta(backlog: int, sources: Iterable[Source], now: int, zone: tzinfo) -> Eta:
    """How long `backlog` recipients of one provider take."""
    going = [source for source in sources if not source.is_stopped]
    return Eta(
        at_best=_last(backlog, going, now, zone, advances=True),
        if_held=_last(backlog, going, now, zone, advances=False),
    )


def _last(
    backlog: int, sources: Sequence[Source], now: int, zone: tzinfo, *, advances: bool
) -> int | None:
    if backlog <= 0:
        return now
    left, day = backlog, day_of(now, zone)
    for number in range(HORIZON):
        window = window_of_day(day, zone)
        rooms = [_room(one, number if advances else 0, window, now) for one in sources]
        starts = max(now, window.start)
        if None in rooms:
            return starts
        room = sum(filter(None, rooms))
        if room >= left:
            return starts + (window.end - starts) * left // room
        left, day = left - room, next_day(day)
    return None


def _room(source: Source, ahead: int, window: Window, now: int) -> int | None:
    """How much leaves within the day; None: whatever there is."""
    begins = max(window.start, now, source.paused_until)
    if begins >= window.end:
        return 0
    stage = source.stage + ahead
    if stage >= len(source.volumes):
        return None if ahead or not source.volumes else source.volumes[-1]
    limit = volume_of(source.volumes, stage)
    hours = -(-(window.end - begins) // clock.HOUR) if source.is_hourly else 1
    used = source.used if window.start <= now else 0
    return max(0, limit * hours - used)
