"""Rules: what an event counts as, and under which values; pure.

    told -> increments     which columns grow by how much; nothing for what is counted already
         -> profile        whose, in which hour, from which domain, through what
    profiles -> rows       one for each dimension, tenant and step

Events of one profile are added up first: a batch of thousands has a few hundred. A profile keeps the
place of its first event, so that which values are kept apart (Known) never hangs on how the stream
was cut into batches.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from appliance.core import clock, ids
from appliance.statistics.model import (
    COLUMNS,
    DELAYS,
    EVERYBODY,
    OVERFLOW,
    Dimension,
    Measure,
    Step,
)
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.history import Told

NO_NAME: Final = "other"  # a receiver that no provider of the shaping file has
LONGEST: Final = 255
_COLUMN: Final = {name: number for number, name in enumerate(COLUMNS)}
_DELAY_MS: Final = _COLUMN["delay_ms"]
_FIRST_DELAY: Final = _COLUMN["delay_0"]
_KEPT: Final = {
    Dimension.TENANT: 5000,
    Dimension.DOMAIN: 100,
    Dimension.PROVIDER: 100,
    Dimension.EGRESS: 500,
    Dimension.TAG: 100,
    Dimension.REASON: 50,
}
_KEPT_OF_EVERYBODY: Final = 5
"""How many times as many the box's own rows keep apart."""

_BY_KIND: Final = {
    kind.value: _COLUMN[measure]
    for kind, measure in (
        (EventKind.ACCEPTED, Measure.ACCEPTED),
        (EventKind.DEFERRED, Measure.DEFERRED),
        (EventKind.DELIVERED, Measure.DELIVERED),
        (EventKind.EXPIRED, Measure.EXPIRED),
        (EventKind.SUPPRESSED, Measure.SUPPRESSED),
        (EventKind.CANCELLED, Measure.CANCELLED),
        (EventKind.CORRUPT, Measure.CORRUPT),
        (EventKind.HELD, Measure.HELD),
        (EventKind.BOUNCED_LATE, Measure.BOUNCED_LATE),
        (EventKind.COMPLAINED, Measure.COMPLAINED),
        (EventKind.UNSUBSCRIBED, Measure.UNSUBSCRIBED),
    )
}
"""What counts by its kind alone; released, retried, rerouted and delayed_late count as nothing."""

_HARD: Final = _COLUMN[Measure.BOUNCED_HARD]
_SOFT: Final = _COLUMN[Measure.BOUNCED_SOFT]
_FAILED: Final = frozenset(
    kind.value for kind in (EventKind.BOUNCED, EventKind.EXPIRED, EventKind.BOUNCED_LATE)
)
_DELIVERED: Final = _COLUMN[Measure.DELIVERED]


class Profile(NamedTuple):
    """What events have in common that are counted under the same values."""

    tenant_id: int
    hour: int
    domain: str
    provider: str
    egress: str
    traffic_class: str
    tags: tuple[str, ...]
    reason: str = ""  # of a failure


class Row(NamedTuple):
    """Where a count stands in a table."""

    tenant_id: int
    dimension: Dimension
    start: int
    value: str


Grown = dict[int, int]
"""By how much each column grows; of most profiles few do."""

Tally = list[int]
"""Counts in the order of COLUMNS."""


def kept_apart(tenant_id: int, dimension: Dimension) -> int:
    """How many values of a dimension one day of a tenant keeps apart."""
    times = _KEPT_OF_EVERYBODY if tenant_id == EVERYBODY else 1
    return _KEPT.get(dimension, 10) * times


class Known:
    """The values that each day of a tenant has, so that there are never too many."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, Dimension, int], set[str]] = {}

    def has(self, day: int) -> bool:
        """Whether the day was learned."""
        return (EVERYBODY, Dimension.TOTAL, day) in self._values

    def learn(self, day: int, found: Iterable[tuple[int, str, str]]) -> None:
        """What stands for the day: (tenant, dimension, value)."""
        self._values[EVERYBODY, Dimension.TOTAL, day] = {""}
        for tenant_id, dimension, value in found:
            self._of(tenant_id, Dimension(dimension), day).add(value)

    def admit(self, tenant_id: int, dimension: Dimension, day: int, value: str) -> str:
        """The value under which to count: itself, while there is room."""
        values = self._of(tenant_id, dimension, day)
        if value not in values:
            if len(values) >= kept_apart(tenant_id, dimension):
                return OVERFLOW
            values.add(value)
        return value

    def forget_but(self, days: Iterable[int]) -> None:
        """Keep these days only: what was learned is as large as a day has rows."""
        kept = set(days)
        for key in [key for key in self._values if key[2] not in kept]:
            del self._values[key]

    def _of(self, tenant_id: int, dimension: Dimension, day: int) -> set[str]:
        return self._values.setdefault((tenant_id, dimension, day), set())


def tally(told: Iterable[Told], since: int = 0) -> dict[Profile, Grown]:
    """What happened from `since` on, by profile, in the order of their first events."""
    raw: dict[tuple[Any, ...], Grown] = {}
    for one in told:
        at = _time(one)
        if one.is_repeated or not one.is_known or at < since:
            continue
        column = _column(one)
        if column is None:
            continue
        grown = raw.setdefault(_alike(one, at), {})
        grown[column] = grown.get(column, 0) + (len(one.facts.recipients) if one.n < 0 else 1)
        if column == _DELIVERED:
            delay = max(0, one.at - one.accepted_at)
            within = _FIRST_DELAY + bisect_left(DELAYS, delay)
            grown[_DELAY_MS] = grown.get(_DELAY_MS, 0) + delay
            grown[within] = grown.get(within, 0) + 1
    found: dict[Profile, Grown] = {}
    for alike, grown in raw.items():
        _grow(found.setdefault(_profile(alike), {}), grown)
    return found


def _column(told: Told) -> int | None:
    kind = told.kind
    if kind is EventKind.BOUNCED:
        return _HARD if told.facts.hard else _SOFT
    return _BY_KIND.get(kind.value)


def _time(told: Told) -> int:
    """When it happened, between the acceptance and when the log heard of it, whatever a clock said."""
    return min(max(told.at, ids.time_of(told.message_id)), told.taken_at)


def _alike(told: Told, at: int) -> tuple[Any, ...]:
    """What makes the profile, as it came: cheap to make for every event."""
    way = told.delivery or told.facts
    return (
        told.facts.tenant,
        at // clock.HOUR,
        told.header_from,
        way.provider or (NO_NAME if way.attempt else ""),
        way.egress,
        told.traffic_class,
        told.tags,
        (told.facts.category or NO_NAME) if told.kind.value in _FAILED else "",
    )


def _profile(alike: tuple[Any, ...]) -> Profile:
    tenant_id, hour, header_from, provider, egress, traffic_class, tags, reason = alike
    return Profile(
        tenant_id=tenant_id,
        hour=hour * clock.HOUR,
        domain=kept_text(header_from.rpartition("@")[2].lower()),
        provider=kept_text(provider),
        egress=kept_text(egress),
        traffic_class=kept_text(traffic_class),
        tags=tuple(dict.fromkeys(map(kept_text, tags))) or ("",),
        reason=kept_text(reason),
    )


def _grow(into: Grown, grown: Grown) -> None:
    for column, amount in grown.items():
        into[column] = into.get(column, 0) + amount


def kept_text(text: str) -> str:
    """A value as it is kept: PostgreSQL's text holds no NUL, and a key of an index is bounded."""
    return text.replace("\0", "\ufffd")[:LONGEST]


def rows(found: dict[Profile, Grown], known: Known) -> dict[Step, dict[Row, Tally]]:
    """The rows that profiles add to."""
    hours: dict[Row, Tally] = {}
    for profile, grown in found.items():
        day = profile.hour - profile.hour % clock.DAY
        for tenant_id, dimension, value in _places(profile):
            place = known.admit(tenant_id, dimension, day, value)
            row = Row(tenant_id, dimension, profile.hour, place)
            counts = hours.get(row)
            if counts is None:
                counts = hours[row] = [0] * len(COLUMNS)
            for column, amount in grown.items():
                counts[column] += amount
    return {Step.HOUR: hours, Step.DAY: _by_day(hours)}


def _by_day(hours: dict[Row, Tally]) -> dict[Row, Tally]:
    days: dict[Row, Tally] = {}
    for row, counts in hours.items():
        day = row._replace(start=row.start - row.start % clock.DAY)
        standing = days.get(day)
        if standing is not None:
            counts = [a + b for a, b in zip(standing, counts, strict=True)]  # noqa: PLW2901
        days[day] = counts
    return days


def _places(profile: Profile) -> Iterator[tuple[int, Dimension, str]]:
    tenant_id = profile.tenant_id
    values = [
        (Dimension.TOTAL, ""),
        (Dimension.DOMAIN, profile.domain),
        (Dimension.PROVIDER, profile.provider),
        (Dimension.EGRESS, profile.egress),
        (Dimension.CLASS, profile.traffic_class),
        *((Dimension.TAG, tag) for tag in profile.tags),
    ]
    if profile.reason:
        values.append((Dimension.REASON, profile.reason))
    for dimension, value in values:
        yield tenant_id, dimension, value
        yield EVERYBODY, dimension, value
    yield EVERYBODY, Dimension.TENANT, str(tenant_id)
