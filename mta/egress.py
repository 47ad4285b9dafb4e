"""Egress plan: from which addresses mail may leave, as values of the directory; pure.

An egress is a source address (IPv4, IPv6 or both) with its HELO name. Pools group them with weights;
a message names a pool at most, never an address, so that nothing is bound to an address that is gone:
the choice is made when it is sent (`mta.scheduling.planner`). A box without any configured address has
one egress, `default`, which lets the machine choose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mta.message import Egress
    from mta.status import TrafficClass


class EgressState(StrEnum):
    """Whether mail may leave from an address."""

    ENABLED = "enabled"
    DRAINING = "draining"  # finishes what is in its lanes, takes nothing new
    DISABLED = "disabled"  # begins no transaction; what waited for it is planned anew


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressEntry:
    """An address as an admin configured it."""

    egress: Egress
    state: EgressState = EgressState.ENABLED
    why: str = ""  # why it drains or is disabled: "listed on zen.spamhaus.org", a person's words


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An egress in a pool; `weight` is its share of the mail that no warmup claims."""

    egress: str  # its name
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Addresses that share the mail of those who use the pool."""

    name: str
    tenant_id: int = 0  # 0 = shared; else only this tenant may use it
    members: tuple[Member, ...] = ()
    fallback: str = ""  # pool that takes what this one cannot send now; "" = none


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPools:
    """Which pool a tenant's mail uses where neither header nor credential says so; "" = the default."""

    any_class: str = ""
    bulk: str = ""
    transactional: str = ""

    def of(self, traffic_class: TrafficClass) -> str:
        """The pool for a class."""
        by_class = self.bulk if traffic_class == "bulk" else self.transactional
        return by_class or self.any_class


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPlan:
    """All addresses and pools of one generation."""

    entries: Mapping[str, EgressEntry] = field(default_factory=dict)  # by name of the egress
    pools: Mapping[str, Pool] = field(default_factory=dict)  # by name
    default_pool: str = ""  # "" = every shared address, weight 1
    tenants: Mapping[int, TenantPools] = field(default_factory=dict)

    @property
    def has_ipv6(self) -> bool:
        """Whether mail can leave over IPv6."""
        return any(
            entry.egress.ipv6 and entry.state is not EgressState.DISABLED
            for entry in self.entries.values()
        )

    def pool_for(self, wanted: str, tenant_id: int, traffic_class: TrafficClass) -> Pool:
        """The pool of a message: as asked, else the tenant's, else the default.

        A pool that is gone, or belongs to another tenant, is passed over: mail is never stuck.
        """
        tenant = self.tenants.get(tenant_id, _NO_POOLS)
        for name in (wanted, tenant.of(traffic_class), self.default_pool):
            pool = self.pools.get(name)
            if pool is not None and pool.tenant_id in (0, tenant_id):
                return pool
        return self._everything()

    def chain(self, pool: Pool, tenant_id: int) -> Iterator[Pool]:
        """The pool, then its fallback, then that one's; each once."""
        seen: set[str] = set()
        current: Pool | None = pool
        while current is not None and current.name not in seen:
            seen.add(current.name)
            yield current
            following = self.pools.get(current.fallback)
            allowed = following is not None and following.tenant_id in (0, tenant_id)
            current = following if allowed else None

    def _everything(self) -> Pool:
        """Without any pool: all addresses that no dedicated pool keeps for a tenant."""
        dedicated = {m.egress for p in self.pools.values() if p.tenant_id for m in p.members}
        names = (name for name in self.entries if name not in dedicated)
        return Pool(name="", members=tuple(Member(egress=name) for name in names))


_NO_POOLS = TenantPools()
