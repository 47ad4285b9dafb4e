"""Suppressions: addresses and domains that must not be written to, of a tenant or of the whole box.

Rows of their own that name their event (MTA-25); the mta holds them in a Matcher, which is brought
up to date by generation. Bounces and complaints are applied once per event id, however often told.
"""

from __future__ import annotations

from appliance.suppressions.matcher import Matcher
from appliance.suppressions.model import (
    Counted,
    Entry,
    ImportResult,
    Reason,
    RowError,
    SoftBounce,
    SoftBounceRule,
    SuppressionEvent,
)
from appliance.suppressions.service import BATCH, TOMBSTONE_LIFE, SuppressionList

__all__ = [
    "BATCH",
    "TOMBSTONE_LIFE",
    "Counted",
    "Entry",
    "ImportResult",
    "Matcher",
    "Reason",
    "RowError",
    "SoftBounce",
    "SoftBounceRule",
    "SuppressionEvent",
    "SuppressionList",
]
