"""Marks of notices: what stands, how often it was raised, and whether somebody has seen it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func

from appliance.core.marks import Marks, row, total
from appliance.notices.tables import OPEN, notice

_n = notice.c

MARKS: Final = (
    Marks(
        "notices",
        row(_n.tenant_id, number=func.count(), value=total(_n.id + _n.last_at + _n.seen_at))
        .where(OPEN)
        .group_by(_n.tenant_id),
    ),
)
