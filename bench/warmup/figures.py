"""Figures: world.toml as checked values, and the draw that makes one world of them.

Unknown keys and wrong kinds are errors. A draw depends on the seed alone.
"""

from __future__ import annotations

import math
import random
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from appliance.core import clock
from mta.reply import Reply
from mta.status import Phase  # noqa: TC001 (msgspec reads the types when it runs)

FILE: Final = Path(__file__).parent / "world.toml"


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Saying(_Table, frozen=True, kw_only=True):
    """An answer, and the step that it answers."""

    phase: Phase
    reply: str

    @property
    def answer(self) -> Reply:
        """As the value it stands for."""
        return Reply.from_text(int(self.reply[:3]), self.reply[4:])


class OfRecipients(Saying, frozen=True, kw_only=True):
    """What is said of a share of all recipients."""

    share: float


class Receiver(_Table, frozen=True, kw_only=True):
    """One receiver; world.toml says what its figures follow."""

    name: str
    domain: str
    host: str
    share: float
    newcomer: float
    growth: tuple[float, float]
    much: float
    hour: float
    minute: float
    seconds: float
    complaints: float
    shut_hours: float
    block_hours: float
    slow: Saying
    shut: Saying
    block: Saying


class Run(_Table, frozen=True, kw_only=True):
    """Who sends how much, and when."""

    addresses: int
    backlog: int
    lifetime_days: int
    start: str
    tick_seconds: int
    quiet_seconds: int
    full_volume: int


class Naive(_Table, frozen=True, kw_only=True):
    """The sender that only has a table."""

    schedule: str


class Spread(_Table, frozen=True, kw_only=True):
    """How much worlds differ."""

    newcomer: float
    growth: float
    complaints: float
    day: float
    born: tuple[float, float]


class Trust(_Table, frozen=True, kw_only=True):
    """How trust moves from day to day."""

    least: float
    clean: float
    refused_share: float
    refused: float
    blocked: float
    complaints: tuple[float, float]
    complained: tuple[float, float]
    complaint_hours: float
    traps: float
    trap_share: float
    trapped: float
    forgets: float
    day_begins: int


class Burst(_Table, frozen=True, kw_only=True):
    """How many at once are never too many."""

    minute_least: int
    hour_least: int


class Pressure(_Table, frozen=True, kw_only=True):
    """What attempts lead to that had to be refused."""

    half_life_minutes: float
    shut_share: float
    shut_least: float
    block_share: float
    block_least: float


class Figures(_Table, frozen=True, kw_only=True):
    """The whole file."""

    run: Run
    naive: Naive
    spread: Spread
    trust: Trust
    burst: Burst
    pressure: Pressure
    of_recipients: tuple[OfRecipients, ...]
    receiver: tuple[Receiver, ...]

    def backlog_of(self, receiver: Receiver) -> int:
        """How many recipients of it wait when it begins."""
        return round(self.run.backlog * self.share_of(receiver))

    def share_of(self, receiver: Receiver) -> float:
        """Of all recipients."""
        return receiver.share / sum(one.share for one in self.receiver)

    @property
    def start(self) -> int:
        """Midnight of the first day, in ms."""
        return clock.from_datetime(datetime.fromisoformat(f"{self.run.start}T00:00:00+00:00"))


def load(path: Path = FILE) -> Figures:
    """Read the file."""
    return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Figures)


def drawn(figures: Figures, seed: int) -> Figures:
    """The receivers of one world."""
    return msgspec.structs.replace(
        figures, receiver=tuple(_drawn(one, figures.spread, seed) for one in figures.receiver)
    )


def _drawn(one: Receiver, spread: Spread, seed: int) -> Receiver:
    dice = random.Random(f"{seed}/{one.name}")

    def vary(value: float, by: float) -> float:
        return value * math.exp(dice.gauss(0, by))

    newcomer = vary(one.newcomer, spread.newcomer)
    faster = math.exp(dice.gauss(0, spread.growth))
    return msgspec.structs.replace(
        one,
        newcomer=newcomer,
        growth=(1 + (one.growth[0] - 1) * faster, 1 + (one.growth[1] - 1) * faster),
        complaints=vary(one.complaints, spread.complaints),
    )
