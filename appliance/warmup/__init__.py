"""Warmup: which egress addresses are new to which providers, how far each has come, and why.

A warmup is off until somebody starts it. People start, pause, resume, skip, finish and restart; the worker
counts what each day brought and judges it once (`mta.warmup.decide`). The budgets themselves are counted
in `appliance.limits`; the mta gets the plans through its directory.
"""

from __future__ import annotations

from appliance.warmup.days import DayBook
from appliance.warmup.model import DayCounts, DayRecord, WarmupRecord
from appliance.warmup.rules import due_days, idle_days
from appliance.warmup.service import Warmups

__all__ = [
    "DayBook",
    "DayCounts",
    "DayRecord",
    "WarmupRecord",
    "Warmups",
    "due_days",
    "idle_days",
]
