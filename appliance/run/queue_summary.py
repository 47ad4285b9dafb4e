"""Queue summary: what waits in the shards of a process, and in the processes of a box, as one; pure.

A summary is a plain table, as it goes over the socket and into `--json`:
{by, at, counts, oldest, total, groups: [{name, provider, status, count, oldest, next, reason}]}.
`groups` are the fullest of each part, so a group that is in no part's list may be missing in the whole.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mta.scheduling.census import By, Group, Summary

Row = dict[str, Any]


def summary_row(by: By, found: Summary) -> Row:
    """One shard's summary as a plain table."""
    return {
        "by": by.value,
        "at": found.at,
        "counts": found.counts,
        "oldest": found.oldest,
        "total": found.total,
        "groups": [_group_row(group) for group in found.groups],
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
        "oldest": min((part["oldest"] for part in parts if part["oldest"]), default=0),
        "total": max(len(groups), *(part["total"] for part in parts)),
        "groups": sorted(groups.values(), key=lambda one: (-one["count"], one["name"])),
    }


def _together(one: Row, other: Row) -> Row:
    older = min(one, other, key=lambda group: group["oldest"])
    return one | {
        "provider": older["provider"] or one["provider"] or other["provider"],
        "count": one["count"] + other["count"],
        "oldest": older["oldest"],
        "next": min(one["next"], other["next"]),
        "reason": older["reason"] or one["reason"] or other["reason"],
    }


def _group_row(group: Group) -> Row:
    return {
        "name": group.name,
        "provider": group.provider,
        "status": group.status,
        "count": group.count,
        "oldest": group.oldest,
        "next": group.next_due,
        "reason": group.reason,
    }
