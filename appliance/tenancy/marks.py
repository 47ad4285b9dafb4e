"""Marks of the audit log: its newest entries, whose action says what a person has just changed."""

from __future__ import annotations

from typing import Final

from appliance.core.marks import Marks, row
from appliance.tenancy.tables import audit

_NEWEST: Final = 30
_a = audit.c

MARKS: Final = (
    Marks(
        "audit",
        row(_a.tenant_id, word=_a.action, number=_a.id).order_by(_a.id.desc()).limit(_NEWEST),
        newest=_NEWEST,
    ),
)
