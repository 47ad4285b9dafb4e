"""Drainer: what an automatic check may do to an egress: hold it back, and let it go again.

Never touches what a person set by hand: it lets go only of an egress that drains for a reason which
begins as the caller's own reasons do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import Scope
from appliance.egress import plan_of
from mta.egress import EgressState

if TYPE_CHECKING:
    from appliance.egress import Egresses, EgressRecord, Pools
    from mta.egress import EgressPlan
    from mta.message import Egress

_SYSTEM: Final = Scope.system(by="worker")


class Drainer(Protocol):
    """Holds an egress back, and lets it go."""

    async def plan(self) -> EgressPlan:
        """The addresses and pools as they are now."""

    async def drain(self, name: str, why: str, *, why_prefix: str) -> bool:
        """Give it nothing new; if it drains for a reason that begins so, say why anew.

        Returns whether it does now: one that a person stopped meanwhile stays as it is.
        """

    async def enable_if_drained_by(self, name: str, why_prefix: str) -> bool:
        """Enable it if it drains for a reason that begins so; returns whether it did."""


class BoxDrainer:
    """The box's own egresses (appliance.egress); `scope` says who acts, for the audit log."""

    def __init__(
        self, egresses: Egresses, pools: Pools, default: Egress, scope: Scope = _SYSTEM
    ) -> None:
        self._egresses, self._pools = egresses, pools
        self._default, self._scope = default, scope

    async def plan(self) -> EgressPlan:
        """Without the tenants' choices of a pool, which say nothing of an address."""
        every, pools = await self._egresses.list(self._scope), await self._pools.list(self._scope)
        return plan_of(every, pools, (), default=self._default)

    async def drain(self, name: str, why: str, *, why_prefix: str) -> bool:
        """Give it nothing new; what is in its lanes still leaves."""

        def is_ours(found: EgressRecord) -> bool:
            return found.state is EgressState.ENABLED or _drains_for(found, why_prefix)

        try:
            await self._egresses.drain(self._scope, name, why=why, only_if=is_ours)
        except (ConflictError, NotFoundError):
            return False
        return True

    async def enable_if_drained_by(self, name: str, why_prefix: str) -> bool:
        """Enable it if it drains for a reason that begins so; one that is gone is left in peace."""
        try:
            await self._egresses.enable(
                self._scope, name, only_if=lambda found: _drains_for(found, why_prefix)
            )
        except (ConflictError, NotFoundError):
            return False
        return True


def _drains_for(found: EgressRecord, why_prefix: str) -> bool:
    return found.state is EgressState.DRAINING and found.why.startswith(why_prefix)
