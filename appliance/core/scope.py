"""Scope: on whose behalf a room is asked, and the one gateway to tenants' rows.

Every service method takes a Scope first. `scoped()` narrows a statement to the tenant's rows, so
that another tenant's record is simply not found: its existence is not told. Tenant 0 is the box
itself; its rows belong to the system scope alone.
Tables are imported only by their own room (tests/architecture/test_tables_are_private.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Delete, Select, Table, Update

BOX: Final = 0
"""The tenant id of the box itself."""

S = TypeVar("S", "Select[Any]", "Update", "Delete")


@dataclass(frozen=True, slots=True)
class Scope:
    """Either one tenant or the whole system; `by` is who acts, as the audit log will name them."""

    tenant_id: int | None
    by: str
    address: str = ""  # from where they act; "" = from within this machine

    @classmethod
    def tenant(cls, tenant_id: int, *, by: str = "", address: str = "") -> Scope:
        """One tenant's view."""
        if tenant_id <= BOX:
            raise ValueError(f"tenant id {tenant_id}: the box's own rows need the system scope")
        return cls(tenant_id, by or f"tenant {tenant_id}", address)

    @classmethod
    def system(cls, *, by: str = "system", address: str = "") -> Scope:
        """Everything: the mta, the worker and the box's admin."""
        return cls(None, by, address)

    def within(self, tenant_id: int) -> Scope:
        """One tenant's view, of whoever this is."""
        return Scope.tenant(tenant_id, by=self.by, address=self.address)

    @property
    def is_system(self) -> bool:
        """Whether nothing is hidden."""
        return self.tenant_id is None

    def owner(self, tenant_id: int | None = None) -> int:
        """To which tenant a new row belongs: a tenant's own, or the one the system names."""
        owner = self.tenant_id if tenant_id is None else tenant_id
        if owner is None:
            raise UsageError("name the tenant this belongs to")
        if self.tenant_id is not None and owner != self.tenant_id:
            raise UsageError("only the box's admin may write for another tenant")
        return owner


def scoped(statement: S, table: Table, scope: Scope, *, column: str = "tenant_id") -> S:
    """The statement, narrowed to what the scope may see and change."""
    if scope.tenant_id is None:
        return statement
    return statement.where(table.c[column] == scope.tenant_id)
