"""Marks of notifications: how far people have looked, which empties their feed on their other screens."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func

from appliance.core.marks import Marks, row, total
from appliance.notifications.tables import seen

MARKS: Final = (
    Marks(
        "seen",
        row(seen.c.tenant_id, number=func.count(), value=total(seen.c.upto)).group_by(
            seen.c.tenant_id
        ),
    ),
)
