"""Marks of webhooks: the newest deliveries. Endpoints themselves have a generation (Part.WEBHOOKS)."""

from __future__ import annotations

from typing import Final

from appliance.core.marks import Marks, row
from appliance.webhooks.tables import delivery

_NEWEST: Final = 50
_d = delivery.c

MARKS: Final = (
    Marks(
        "deliveries",
        row(_d.tenant_id, number=_d.id).order_by(_d.id.desc()).limit(_NEWEST),
        newest=_NEWEST,
    ),
)
