"""Reasons: destinations summed up by the kind of thing that keeps them waiting (mta/scheduling/why.py); pure.

A destination counts whole for the kind of its oldest recipient: to tell it of each recipient a million
rows would have to be read. So the sums say where the queue stands still, not what each message waits for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mta.scheduling.why import Why

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mta.scheduling.census import Group

Place = tuple[str, str]
"""Name and state of a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What waits for one kind of thing."""

    kind: Why
    recipients: int
    destinations: int
    example: str = ""  # the fullest of them; "" where none was looked at
    most: int = 0  # recipients that wait there


def reasons_of(groups: Iterable[Group], recipients: int, places: Collection[Place]) -> list[Reason]:
    """The kinds, most recipients first.

    `recipients` and `places` are all there are: what `groups` lack comes as Why.NOT_LOOKED_AT.
    """
    by_kind: dict[Why, dict[str, int]] = {}
    for group in groups:
        counts = by_kind.setdefault(group.kind, {})
        counts[group.name] = counts.get(group.name, 0) + group.count
    found = [_reason(kind, counts) for kind, counts in by_kind.items()]
    left = recipients - sum(reason.recipients for reason in found)
    if left > 0:
        seen = {name for counts in by_kind.values() for name in counts}
        rest = {name for name, _ in places if name not in seen}
        found.append(Reason(kind=Why.NOT_LOOKED_AT, recipients=left, destinations=len(rest)))
    return sorted(found, key=lambda reason: (-reason.recipients, reason.kind))


def _reason(kind: Why, counts: dict[str, int]) -> Reason:
    example = max(counts, key=lambda name: (counts[name], name))
    total, number = sum(counts.values()), len(counts)
    return Reason(
        kind=kind, recipients=total, destinations=number, example=example, most=counts[example]
    )


def by_reason(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Destinations as groups by kind and state, each told by its oldest; the fullest first."""
    found: dict[tuple[Why, str], Group] = {}
    for group in groups:
        place = group.kind, group.status
        other = found.get(place)
        found[place] = group if other is None else _together(other, group)
    named = (replace(group, name=group.kind.value) for group in found.values())
    return tuple(sorted(named, key=lambda group: (-group.count, group.name, group.status)))


def _together(one: Group, other: Group) -> Group:
    return replace(
        min(one, other, key=lambda group: group.oldest),
        count=one.count + other.count,
        next_due=min(one.next_due, other.next_due),
        due_soon=one.due_soon + other.due_soon,
    )
