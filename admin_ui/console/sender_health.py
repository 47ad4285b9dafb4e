"""Sender health: how receivers see each domain that a tenant sends from, by seven days of its mail. Pure but for asking.

A share above the limit of [notifications] is bad, above half of it worth a look, as the box tells people by mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from admin_ui.console.reasons import last_days
from admin_ui.console.todo import wrong_of
from appliance.statistics import Counts, Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from admin_ui.console.visit import Visit
    from admin_ui.desks import Alarms
    from admin_ui.rooms import Rooms
    from appliance.domains import DomainRecord

DAYS: Final = 7
SHOWN: Final = 8
_MOST: Final = 100  # domains of a tenant are kept apart so far
_ORDER: Final = {"bad": 0, "look": 1, "way": 2, "good": 3}
_SHORT: Final = {"return_path": "return path", "ownership": "ownership"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A domain."""

    id: int
    name: str
    dns: tuple[str, str]  # words, kind
    counts: Counts
    words: str
    kind: str  # bad | look | way | good

    @property
    def bounced(self) -> int:
        """Recipients that were refused for good."""
        return bounced(self.counts)

    @property
    def tried(self) -> int:
        """Recipients of whom a receiver said the last word."""
        return self.counts.delivered + self.bounced


def bounced(counts: Counts) -> int:
    """Recipients that were refused for good."""
    return counts.bounced_hard + counts.bounced_soft


async def counts_of_domains(rooms: Rooms, visit: Visit) -> dict[str, Counts]:
    """The mail of seven days, by From domain."""
    period = last_days(visit.stage.now(), DAYS)
    ranked = await rooms.statistics.top(visit.scope, period, Dimension.DOMAIN, limit=_MOST)
    return {one.value: one.counts for one in ranked}


def health_of(
    domains: Iterable[DomainRecord], counts: Mapping[str, Counts], alarms: Alarms
) -> list[Health]:
    """Those that need work first, then those with most mail."""
    rows = [_health(one, counts.get(one.name, Counts()), alarms) for one in domains]
    rows.sort(key=lambda one: (_ORDER[one.kind], -one.counts.accepted, one.name))
    return rows[:SHOWN]


def _health(one: DomainRecord, counts: Counts, alarms: Alarms) -> Health:
    dns, repair = _dns(one)
    words, kind = repair or judged(counts, alarms)
    return Health(id=one.id, name=one.name, dns=dns, counts=counts, words=words, kind=kind)


def _dns(one: DomainRecord) -> tuple[tuple[str, str], tuple[str, str] | None]:
    """How its records stand, and what is to be done if that comes first."""
    checks = one.report.checks if one.report else ()
    if not one.verified:
        return ("Not proved", "bad"), ("Prove it", "bad")
    if not checks:
        return ("Not looked at yet", "off"), None
    if wrong := wrong_of(one):
        name = _SHORT.get(wrong[0].kind, wrong[0].kind.upper())
        return (f"{name[0].upper()}{name[1:]} wrong", "bad"), (f"Fix {name}", "bad")
    return (f"All {len(checks)} right", "good"), None


def judged(counts: Counts, alarms: Alarms) -> tuple[str, str]:
    """What the mail of a domain says of it."""
    lost = bounced(counts)
    tried = counts.delivered + lost
    if not tried:
        return "No mail yet", "way"
    if tried < alarms.least:
        return "Too little to judge", "way"
    shares = (
        ("Complaints", counts.complained, counts.delivered, alarms.complained),
        ("Bounces", lost, tried, alarms.bounced),
    )
    for name, part, whole, most in shares:
        if 100 * part > most * whole:
            return f"{name} too high", "bad"
    for name, part, whole, most in shares:
        if 200 * part > most * whole:
            return f"{name} near the limit", "look"
    return "Healthy", "good"
