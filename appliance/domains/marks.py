"""Marks of domains: which were looked at last. Their other changes have a generation (Part.DOMAINS)."""

from __future__ import annotations

from typing import Final

from appliance.core.marks import Marks, row
from appliance.domains.tables import domain

_NEWEST: Final = 20
_d = domain.c

MARKS: Final = (
    Marks(
        "domain looks",
        row(_d.tenant_id, number=_d.id, value=_d.checked_at)
        .where(_d.checked_at > 0)
        .order_by(_d.checked_at.desc())
        .limit(_NEWEST),
        newest=_NEWEST,
    ),
)
