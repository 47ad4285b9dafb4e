"""Notices: what an admin, or a tenant, should know and do something about, until it is over.

A notice is raised under a kind and a subject; raising it again while it stands only counts, so that an
hourly look makes one notice and not one an hour. Rows of control.db; whoever sends mail about them or
shows them reads them here.
"""

from __future__ import annotations

from appliance.notices.marks import MARKS
from appliance.notices.model import Finding, Notice, Severity
from appliance.notices.service import Notices

__all__ = ["MARKS", "Finding", "Notice", "Notices", "Severity"]
