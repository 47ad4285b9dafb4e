"""Marks of blocklists: who is listed, and when the lists were last asked. They are the box's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, cast, func, literal_column

from appliance.blocklists.tables import OPEN, blocklist, listing
from appliance.core.marks import Marks, row, total

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

_BOX: Final[ColumnElement[int]] = literal_column("0")
_l, _b = listing.c, blocklist.c

MARKS: Final = (
    Marks(
        "listings",
        row(
            _BOX,
            number=func.count(),
            value=total(_l.id + _l.last_seen_at + cast(_l.drained, Integer)),
        )
        .select_from(listing)
        .where(OPEN),
    ),
    Marks(
        "lists",
        row(_BOX, number=func.count(), value=total(_b.checked_at + _b.since)).select_from(
            blocklist
        ),
    ),
)
