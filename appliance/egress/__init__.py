"""Egress: the addresses that mail leaves from, with their HELO names, and the pools that group them.

Rows of control.db; every process sees a change at its next poll. A message names a pool at most, never
an address, so an address may go at any time: what waits is planned anew. An IPv6 address is used
only once its reverse DNS was seen to be right, because receivers refuse others (or by force).
"""

from __future__ import annotations

from appliance.egress.check import can_bind
from appliance.egress.model import (
    AddressCheck,
    CheckState,
    EgressRecord,
    EgressRequest,
    PoolChange,
    PoolRecord,
)
from appliance.egress.plan import default_egress, plan_of
from appliance.egress.pools import Pools
from appliance.egress.service import Egresses

__all__ = [
    "AddressCheck",
    "CheckState",
    "EgressRecord",
    "EgressRequest",
    "Egresses",
    "PoolChange",
    "PoolRecord",
    "Pools",
    "can_bind",
    "default_egress",
    "plan_of",
]
