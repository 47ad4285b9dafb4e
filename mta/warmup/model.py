"""Values of warmup.

A provider is a name from config/shaping.toml, or OTHER for all receivers that have none: a new address
is a stranger to each provider by itself, and to everybody else at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

OTHER: Final = "other"
"""Every receiver that belongs to no named provider."""

BUDGETS: Final = "warmup:"
"""How the names of all budgets of warmup begin."""


def warmup_provider(name: str, known: Container[str]) -> str:
    """Under which provider the mail to a receiver counts: its own if that is warmed up, else OTHER.

    `name` is a section of config/shaping.toml, "" for a receiver without one; `known` are the
    providers of the egress that have a warmup.
    """
    return name if name in known else OTHER


def budget_key(egress: str, provider: str, *, is_hourly: bool) -> str:
    """The name of the shared record of what was used (appliance.limits); days and hours apart."""
    return f"{BUDGETS}{egress}:{provider}{':hour' if is_hourly else ''}"


LOWEST: Final = -3
"""The lowest stage: an eighth of the first volume, for an address that even the first was too much from."""


def volume_of(volumes: Sequence[int], stage: int) -> int:
    """Recipients in one window of a stage; below the first, each has half of the one above."""
    if stage < 0:
        return max(1, volumes[0] >> -stage)
    return volumes[min(stage, len(volumes) - 1)]


class WarmupState(StrEnum):
    """Where a warmup stands."""

    WARMING = "warming"  # today's budget holds
    PAUSED = "paused"  # sends nothing until a person or the end of the pause says otherwise
    WARM = "warm"  # finished: no budget


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupPlan:
    """What the mta must know of one (egress, provider) that has, or had, a warmup.

    One that is warm is named all the same: its mail must not count under OTHER.
    """

    egress: str  # its name
    provider: str
    state: WarmupState
    stage: int  # 0-based; LOWEST to -1: below the first
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
