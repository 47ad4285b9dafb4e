"""Statistics: what became of mail, counted by hour and by day, for tenants and for the box (ENG-19, API-2).

Counts are made from the event log alone, behind a stored cursor that moves in the transaction that
counts: no event counts twice or not at all, whatever crashes. They may be made again from the events
that are still kept; until the new ones are whole, readers see the old ones.
"""

from __future__ import annotations

from appliance.statistics.counter import Counter
from appliance.statistics.model import (
    OVERFLOW,
    Counts,
    Dimension,
    Measure,
    Of,
    Period,
    Point,
    Ranked,
    Standing,
    Step,
)
from appliance.statistics.opening import opened
from appliance.statistics.rebuild import Rebuild
from appliance.statistics.service import Statistics
from appliance.statistics.store import Store, prepare

__all__ = [
    "OVERFLOW",
    "Counter",
    "Counts",
    "Dimension",
    "Measure",
    "Of",
    "Period",
    "Point",
    "Ranked",
    "Rebuild",
    "Standing",
    "Statistics",
    "Step",
    "Store",
    "opened",
    "prepare",
]
