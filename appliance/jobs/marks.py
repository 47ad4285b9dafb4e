"""Marks of jobs: how far those that are open have come, and which are new.

The newest ones are looked at whether they are open or not: a short one comes and ends between two looks.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func

from appliance.core.marks import Marks, row, total
from appliance.jobs.tables import job

_NEWEST: Final = 20
_j = job.c

MARKS: Final = (
    Marks(
        "jobs",
        row(
            _j.tenant_id,
            number=func.count(),
            value=total(_j.id + _j.done + _j.total + _j.served_at),
        )
        .where(_j.ended_at == 0)
        .group_by(_j.tenant_id),
    ),
    Marks(
        "new jobs",
        row(_j.tenant_id, number=_j.id, value=_j.ended_at).order_by(_j.id.desc()).limit(_NEWEST),
        newest=_NEWEST,
    ),
)
