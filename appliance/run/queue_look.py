"""Look: what several owners of shards found among their next so many recipients, as one page; pure.

Each looked up to a place of its own. What lies behind the first of these is left out: the next look begins
there, and finds it then. So no recipient is missed, and none comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """Recipients in the order of (message_id, n), and where the next look begins; None: that was all."""

    rows: list[dict[str, Any]]
    after: Place | None


def one_look(looks: Sequence[Look], limit: int) -> Look:
    """Theirs together, of at most so many rows."""
    rows = sorted((row for one in looks for row in one.rows), key=_place)
    ends = [(one.after[0], one.after[1]) for one in looks if one.after is not None]
    if ends:
        rows = [row for row in rows if _place(row) <= min(ends)]
    if len(rows) > limit:
        return Look(rows[:limit], _place(rows[limit - 1]))
    return Look(rows, min(ends) if ends else None)


def _place(row: dict[str, Any]) -> Place:
    return row["message_id"], row["n"]
