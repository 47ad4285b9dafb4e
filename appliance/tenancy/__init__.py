"""Tenancy: the customers or teams of the box, and the audit log of who changed what.

The lowest room: the others record their changes in its audit log and refer to its tenants.
Tenants are suspended, never deleted, so that history keeps its owner.
"""

from __future__ import annotations

from appliance.tenancy.audit import AuditLog, record
from appliance.tenancy.marks import MARKS
from appliance.tenancy.model import Act, AuditEntry, AuditFilter, TenantCounts, TenantRecord
from appliance.tenancy.service import Tenants

__all__ = [
    "MARKS",
    "Act",
    "AuditEntry",
    "AuditFilter",
    "AuditLog",
    "TenantCounts",
    "TenantRecord",
    "Tenants",
    "record",
]
