"""Egress life: what else must happen when an address comes, changes or goes.

What receivers have learned belongs to the address and not to its name in our records: with another address
a warmup begins anew and throttles end, and a name that is given a second time inherits nothing. Each step
is a transaction of its own and may be repeated: what a crash left behind goes when the name is used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.core.scope import Scope
    from appliance.egress import Egresses, EgressRecord, EgressRequest
    from appliance.shaping import ThrottleStore
    from appliance.warmup import Warmups


class EgressLife:
    """Creates, updates and deletes egresses with what hangs on them."""

    def __init__(self, egresses: Egresses, warmups: Warmups, throttles: ThrottleStore) -> None:
        self._egresses, self._warmups, self._throttles = egresses, warmups, throttles

    async def create(self, scope: Scope, wanted: EgressRequest) -> EgressRecord:
        """A new egress; nothing is known of it."""
        made = await self._egresses.create(scope, wanted)
        await self._forget(scope, made.name)
        return made

    async def update(
        self,
        scope: Scope,
        name: str,
        *,
        address: str | None = None,
        address6: str | None = None,
        helo: str | None = None,
        ipv6_forced: bool | None = None,
    ) -> EgressRecord:
        """Change it; with another IPv4 address (or the only one) it is a stranger to receivers."""
        before = await self._egresses.get(scope, name)
        made = await self._egresses.update(
            scope, name, address=address, address6=address6, helo=helo, ipv6_forced=ipv6_forced
        )
        if _known_by(before) != _known_by(made):
            reason = f"its address is {_known_by(made)} now, not {_known_by(before)}"
            await self._warmups.begin_anew(scope, made.name, reason=reason)
            await self._throttles.lift_all(scope, made.name, reason=reason)
        return made

    async def delete(self, scope: Scope, name: str, *, force: bool = False) -> EgressRecord:
        """Forget it with its warmups and throttles."""
        gone = await self._egresses.delete(scope, name, force=force)
        await self._forget(scope, gone.name)
        return gone

    async def _forget(self, scope: Scope, name: str) -> None:
        await self._warmups.forget(scope, name)
        await self._throttles.lift_all(scope, name, reason="the egress is gone")


def _known_by(one: EgressRecord) -> str:
    return one.address or one.address6
