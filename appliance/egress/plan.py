"""Plan: what the mta's directory gets to see of egresses, pools and the tenants' choices; pure.

An IPv6 address enters only while it may be used; an egress that has nothing else is disabled until
then, and says why. A pool that lost its last address and has no fallback is left out: mail that
names it goes as if it had named none, instead of waiting for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.egress import EgressEntry, EgressPlan, EgressState, Pool, TenantPools
from mta.message import Egress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from appliance.core.settings import Settings
    from appliance.egress.model import EgressRecord, PoolRecord
    from appliance.tenancy import TenantRecord


def plan_of(
    egresses: Iterable[EgressRecord],
    pools: Iterable[PoolRecord],
    tenants: Iterable[TenantRecord],
    *,
    default: Egress,
) -> EgressPlan:
    """The plan; `default` is the one egress of a box that has configured none."""
    entries = {found.name: _entry(found) for found in egresses}
    if not entries:
        entries = {default.name: EgressEntry(egress=default)}
    records = tuple(pools)
    made = (_pool(found, entries) for found in records)
    return EgressPlan(
        entries=entries,
        pools={pool.name: pool for pool in made if pool.members or pool.fallback},
        default_pool=next((found.name for found in records if found.is_default), ""),
        tenants={found.id: choice for found in tenants if (choice := _choice(found))},
    )


def default_egress(settings: Settings) -> Egress:
    """The egress of a box without rows: the configured source, or whatever the machine chooses."""
    delivery = settings.delivery
    return Egress(
        name=delivery.source_address or "default",
        address=delivery.source_address,
        helo=delivery.helo or settings.box.hostname,
        ipv6=delivery.ipv6,
    )


def _entry(found: EgressRecord) -> EgressEntry:
    state, why = found.state, found.why
    if not found.address and not found.uses_ipv6 and state is EgressState.ENABLED:
        state, why = EgressState.DISABLED, "the reverse DNS of its IPv6 address is not right yet"
    has_ipv6 = found.uses_ipv6 or not found.address
    egress = Egress(
        name=found.name,
        address=found.address,
        helo=found.helo,
        ipv6=has_ipv6,
        address6=found.address6 if has_ipv6 else "",
    )
    return EgressEntry(egress=egress, state=state, why=why)


def _pool(found: PoolRecord, known: Collection[str]) -> Pool:
    return Pool(
        name=found.name,
        tenant_id=found.tenant_id,
        members=tuple(member for member in found.members if member.egress in known),
        fallback=found.fallback,
    )


def _choice(found: TenantRecord) -> TenantPools | None:
    if not (found.pool or found.bulk_pool or found.transactional_pool):
        return None
    return TenantPools(
        any_class=found.pool, bulk=found.bulk_pool, transactional=found.transactional_pool
    )
