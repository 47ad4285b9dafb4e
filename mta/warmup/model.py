"""Values of warmup.

A provider is a name from config/shaping.toml, or OTHER for all receivers that have none: a new address
is a stranger to each provider by itself, and to everybody else at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OTHER: Final = "other"
"""Every receiver that belongs to no named provider."""


class WarmupState(StrEnum):
    """Where a warmup stands."""

    WARMING = "warming"  # today's budget holds
    PAUSED = "paused"  # sends nothing until a person or the end of the pause says otherwise
    WARM = "warm"  # finished: no budget


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupPlan:
    """What the mta must know of one (egress, provider) that is not warm."""

    egress: str  # its name
    provider: str
    state: WarmupState
    stage: int  # 0-based
    stages: int
    limit: int  # recipients in one window
    is_hourly: bool = False  # the window is an hour instead of a day
    reserve: float = 0.2  # share that only transactional mail may use until late in the day
    why: str = ""  # why it is paused, in words


@dataclass(frozen=True, slots=True)
class Window:
    """A day (or hour) of the configured zone: [start, end) in ms since the epoch."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A send that may not happen now: from when it may be asked again, and why, in words."""

    until: int
    why: str
