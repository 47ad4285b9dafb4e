"""Values of statistics: what is counted, by what, and what a question is answered with."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

from appliance.core import clock

EVERYBODY: Final = -1
"""Whose row counts for all tenants together; tenant 0 is the box itself, whose mail counts too."""

OVERFLOW: Final = "(other)"
"""Stands for the values of a dimension that came when a tenant's day had as many as are kept apart."""

SECONDS: Final = clock.SECOND
DELAYS: Final = tuple(
    seconds * SECONDS
    for seconds in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86400)
)
"""Upper ends of the classes of time to delivery (ms); the last class is everything above."""


class Dimension(StrEnum):
    """By what counts are kept apart."""

    TOTAL = "total"  # not at all: one value, ""
    TENANT = "tenant"  # of the box only; the value is the tenant's id
    DOMAIN = "domain"  # of the sender: of the address in From
    PROVIDER = "provider"  # of the receiver; "" before anything was tried, "other" without a name
    EGRESS = "egress"  # "" before anything was tried
    TAG = "tag"  # a message counts under each of its tags; "" without any
    CLASS = "class"  # transactional, bulk
    REASON = "reason"  # of failures alone: their category (mta/outcome/category.py)


class Step(StrEnum):
    """How finely time is divided; days are those of UTC."""

    HOUR = "hour"
    DAY = "day"

    @property
    def ms(self) -> int:
        """How long one is."""
        return clock.HOUR if self is Step.HOUR else clock.DAY


class Measure(StrEnum):
    """What is counted; recipients, each under the time of what happened to it."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    DEFERRED = "deferred"  # attempts
    BOUNCED_HARD = "bounced_hard"  # the address is of no use
    BOUNCED_SOFT = "bounced_soft"  # refused for another reason
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    CORRUPT = "corrupt"
    HELD = "held"  # times
    COMPLAINED = "complained"
    BOUNCED_LATE = "bounced_late"
    UNSUBSCRIBED = "unsubscribed"


ENDS: Final = (
    Measure.DELIVERED,
    Measure.BOUNCED_HARD,
    Measure.BOUNCED_SOFT,
    Measure.EXPIRED,
    Measure.SUPPRESSED,
    Measure.CANCELLED,
    Measure.CORRUPT,
)
"""Every accepted recipient comes to one of these, once."""

NO_DELAYS: Final = (0,) * (len(DELAYS) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened in some time; the names of Measure, and how long deliveries took."""

    accepted: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced_hard: int = 0
    bounced_soft: int = 0
    expired: int = 0
    suppressed: int = 0
    cancelled: int = 0
    corrupt: int = 0
    held: int = 0
    complained: int = 0
    bounced_late: int = 0
    unsubscribed: int = 0
    delay_ms: int = 0  # of all deliveries together, from acceptance
    delays: tuple[int, ...] = field(default=NO_DELAYS)  # deliveries in each class of DELAYS

    @property
    def ended(self) -> int:
        """Recipients that came to their end."""
        return sum(getattr(self, end) for end in ENDS)

    @property
    def mean_delay(self) -> int:
        """Of a delivery, ms."""
        return self.delay_ms // self.delivered if self.delivered else 0

    def delay_at(self, share: float) -> int:
        """The time within which this share of the deliveries was done, ms; even within a class."""
        every = sum(self.delays)
        if not every:
            return 0
        wanted, passed, low = share * every, 0, 0
        for count, high in zip(self.delays, DELAYS, strict=False):
            if count and passed + count >= wanted:
                return low + round((high - low) * (wanted - passed) / count)
            passed, low = passed + count, high
        return low


COLUMNS: Final = tuple(one.name for one in fields(Counts) if one.name != "delays") + tuple(
    f"delay_{number}" for number in range(len(NO_DELAYS))
)
"""As the tables have them."""


def counts_of(values: tuple[int, ...]) -> Counts:
    """Counts from the values of COLUMNS."""
    plain = len(COLUMNS) - len(NO_DELAYS)
    numbers = dict(zip(COLUMNS[:plain], values[:plain], strict=True))
    return Counts(**numbers, delays=tuple(values[plain:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` to before `until` (ms), widened to whole steps."""

    since: int
    until: int
    step: Step = Step.DAY

    @property
    def start(self) -> int:
        """Of the first step."""
        return self.since // self.step.ms * self.step.ms

    @property
    def end(self) -> int:
        """After the last step."""
        return -(-self.until // self.step.ms) * self.step.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Of:
    """What a question is about: everything that the scope sees, one value of a dimension, a tenant."""

    dimension: Dimension = Dimension.TOTAL
    value: str = ""
    tenant_id: int | None = None  # None: all that the scope sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a series."""

    at: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One value of a dimension with its counts."""

    value: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far counting is."""

    counted_to: int  # the log's events up to this time are counted; 0 = none yet
    since: int  # counts from before were taken over when all were made again; 0 = never
    rebuilding: bool
