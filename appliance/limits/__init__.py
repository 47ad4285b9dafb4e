"""Limits: numbers that every process counts together and none exceeds.

A budget (a quota, later a day of warmup) is leased in portions, so that the hot path asks its own
memory and the store only now and then; what is granted in all never passes the limit, not by one.
Login failures are totals over the last minutes that every process adds to.
"""

from __future__ import annotations

from appliance.limits.leases import Leases
from appliance.limits.service import Budgets, LoginFailures

__all__ = ["Budgets", "Leases", "LoginFailures"]
