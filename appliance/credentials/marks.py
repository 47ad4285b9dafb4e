"""Marks of credentials: whose tries came to something new. What changes a credential has a generation."""

from __future__ import annotations

from typing import Final

from appliance.core.marks import Marks, row
from appliance.credentials.tables import trial

_NEWEST: Final = 20
_t = trial.c

MARKS: Final = (
    Marks(
        "tries",
        row(_t.tenant_id, number=_t.credential_id, value=_t.changed_at)
        .where(_t.changed_at > 0)
        .order_by(_t.changed_at.desc())
        .limit(_NEWEST),
        newest=_NEWEST,
    ),
)
