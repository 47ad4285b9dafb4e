"""Domains: the sending domains of tenants, their DKIM keys, and whether DNS says what it must.

A domain may send once its ownership is proved by a TXT record. Names may be claimed by several
tenants and proved by one. Private keys are made here or imported, and encrypted at rest.
"""

from __future__ import annotations

from appliance.domains.marks import MARKS
from appliance.domains.model import (
    BoxNames,
    Check,
    CheckState,
    DomainKey,
    DomainRecord,
    KeyState,
    Report,
)
from appliance.domains.service import Domains

__all__ = [
    "MARKS",
    "BoxNames",
    "Check",
    "CheckState",
    "DomainKey",
    "DomainRecord",
    "Domains",
    "KeyState",
    "Report",
]
