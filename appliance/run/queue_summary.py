"""Queue summary: what waits in the shards of a process, and in the processes of a box, as one; pure.

A summary is a plain table, as it goes over the socket and into `--json`:
{by, at, counts, oldest, oldest_waiting (what is not held), total, due_soon,
 groups: [{name, provider, status, count, oldest, next, until, due_soon, kind, reason, words, egress}],
 reasons: [{kind, recipients, destinations, example, most}]}
`groups` are the fullest of each part, so a group that is in no part's list may be missing in the whole;
where several parts have more destinations than they list, `destinations` of a reason is the least it can be.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mta.scheduling.census import By

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mta.scheduling.census import Group, Summary

Row = dict[str, Any]


def summary_row(by: By, found: Summary) -> Row:
    """One shard's summary as a plain table."""
    return {
        "by": by.value,
        "at": found.at,
        "counts": found.counts,
        "oldest": found.oldest,
        "oldest_waiting": found.oldest_waiting,
        "total": found.total,
        "due_soon": found.due_soon,
        "groups": [_group_row(group) for group in found.groups],
        "reasons": [asdict(reason) | {"kind": reason.kind.value} for reason in found.reasons],
    }


def merged(parts: Sequence[Row]) -> Row:
    """Several summaries of the same kind as one, the fullest group first."""
    first, *others = parts
    if not others:
        return first
    counts: Counter[str] = Counter()
    groups: dict[tuple[str, str], Row] = {}
    for part in parts:
        counts.update(part["counts"])
        for group in part["groups"]:
            key = group["name"], group["status"]
            groups[key] = _together(groups[key], group) if key in groups else group
    return {
        "by": first["by"],
        "at": min(part["at"] for part in parts),
        "counts": dict(counts),
        "oldest": _oldest(part["oldest"] for part in parts),
        "oldest_waiting": _oldest(part["oldest_waiting"] for part in parts),
        "total": max(len(groups), *(part["total"] for part in parts)),
        "due_soon": sum(part["due_soon"] for part in parts),
        "groups": sorted(groups.values(), key=lambda one: (-one["count"], one["name"])),
        "reasons": _reasons(parts, groups.values() if first["by"] == By.DOMAIN else ()),
    }


def _oldest(times: Iterable[int]) -> int:
    return min(filter(None, times), default=0)


def _together(one: Row, other: Row) -> Row:
    """Told by the older; what is known of one alone is better than nothing."""
    older, newer = (one, other) if one["oldest"] <= other["oldest"] else (other, one)
    told = {name: older[name] or newer[name] for name in ("provider", "reason", "words", "egress")}
    return older | {
        **told,
        "count": one["count"] + other["count"],
        "next": min(one["next"], other["next"]),
        "due_soon": one["due_soon"] + other["due_soon"],
    }


def _reasons(parts: Sequence[Row], groups: Iterable[Row]) -> list[Row]:
    found: dict[str, Row] = {}
    for row in (row for part in parts for row in part["reasons"]):
        kind = row["kind"]
        found[kind] = _one_reason(found[kind], row) if kind in found else row
    places: dict[str, Counter[str]] = {kind: Counter() for kind in found}
    for group in groups:
        if group["kind"] in places:
            places[group["kind"]][group["name"]] += group["count"]
    rows = (_seen(row, places[kind]) for kind, row in found.items())
    return sorted(rows, key=lambda row: (-row["recipients"], row["kind"]))


def _one_reason(one: Row, other: Row) -> Row:
    fuller = max(one, other, key=lambda row: row["most"])
    return fuller | {
        "recipients": one["recipients"] + other["recipients"],
        "destinations": max(one["destinations"], other["destinations"]),
    }


def _seen(row: Row, places: Counter[str]) -> Row:
    """With what the groups of all parts together show: one destination is in many shards."""
    for example, most in places.most_common(1):
        if most >= row["most"]:
            row = row | {"example": example, "most": most}
    return row | {"destinations": max(row["destinations"], len(places))}


def _group_row(group: Group) -> Row:
    return {
        "name": group.name,
        "provider": group.provider,
        "status": group.status,
        "count": group.count,
        "oldest": group.oldest,
        "next": group.next_due,
        "until": group.until,
        "due_soon": group.due_soon,
        "kind": group.kind.value,
        "reason": group.reason,
        "words": group.words,
        "egress": group.egress,
    }
