"""Planner: from which egress a parcel leaves, or what it waits for. Decided at dispatch, never before.

    pool of the message -> addresses that may go there now -> warming ones with room, else warm ones
    -> the fallback pool, and its fallback -> wait, and say for what

An address may go when it is enabled and not paused, reaches a host of the site, is not throttled for
this zone, tenant or domain, its last connection there did not fail, and its lane has room. A retry
prefers the address that got the last answer (greylisting keeps the triple). Nothing here sends, writes
or waits; what is planned is only promised to the warmup, and reserved when it is sent.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.egress import EgressState
from mta.scheduling.blocked import CLOSED, Blocked, full_lane
from mta.scheduling.gate import egress_paused
from mta.scheduling.spread import Spread
from mta.status import TrafficClass
from mta.transport.route import INBOUND_KEY
from mta.warmup.model import OTHER, Wait, WarmupState

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.egress import EgressEntry, Member, Pool
    from mta.message import Egress, Recipient
    from mta.scheduling.blocked import Place
    from mta.scheduling.unreachable import Unreachable
    from mta.shaping.model import Zone
    from mta.shaping.throttles import Throttles
    from mta.spool.store import QueueKey
    from mta.transport.base import Site
    from mta.warmup.ledger import Ledger

PLENTY: Final = 1_000_000
"""Room where nothing counts recipients."""

_AVOIDED_KEPT: Final = 10_000
_Choice = tuple[str, int, "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """An address that may be used, with room for so many recipients."""

    egress: Egress
    room: int
    warms: str = ""  # the provider whose warmup it counts for; "" = none


@dataclass(slots=True)
class _Found:
    """What was found on the way through the pools."""

    warming: list[_Choice]
    warm: list[_Choice]
    waits: list[tuple[Wait, bool]]  # and whether it is warmup's
    full: bool = False  # only a full lane kept somebody back
    unreachable: list[_Choice] | None = None  # addresses of the wrong family


class Planner:
    """Chooses for one shard."""

    def __init__(
        self,
        *,
        directory: Callable[[], Directory],
        throttles: Throttles,
        ledger: Ledger,
        unreachable: Unreachable,
        lane_is_full: Callable[[str, str], bool],
    ) -> None:
        self._directory, self._throttles, self._ledger = directory, throttles, ledger
        self._unreachable, self._lane_is_full = unreachable, lane_is_full
        self._spreads: dict[str, Spread] = {}
        self._avoided: OrderedDict[tuple[int, int], str] = OrderedDict()

    def options(self, key: QueueKey, site: Site, zone: Zone, now: int) -> list[_Choice] | Blocked:
        """The addresses to choose from, those that are warming first if any has room."""
        plan = self._directory().egress
        pool = plan.pool_for(key.pool, key.tenant_id, TrafficClass(key.traffic_class))
        found = _Found([], [], [])
        for one in plan.chain(pool, key.tenant_id):
            self._look(one, key, site, zone, now, found)
            if found.warming or found.warm:
                return found.warming or found.warm
        if found.unreachable and not (
            found.full or found.waits
        ):  # the transport will say why no host can be reached
            return found.unreachable
        if found.full:
            return full_lane(site.key)
        return self._blocked(pool, key, zone, found)

    def room(self, key: QueueKey, site: Site, zone: Zone, now: int) -> int | Blocked:
        """How many recipients of a key could leave now."""
        found = self.options(key, site, zone, now)
        return found if isinstance(found, Blocked) else sum(option.room for _, _, option in found)

    def place(
        self, recipient: Recipient, key: QueueKey, site: Site, zone: Zone, now: int
    ) -> Option | Blocked:
        """The address for a recipient (or for all that travel with it)."""
        found = self.options(key, site, zone, now)
        if isinstance(found, Blocked):
            return found
        avoided = self._avoided.get((recipient.message_id, recipient.n)) if self._avoided else None
        if avoided is not None:
            found = [choice for choice in found if choice[0] != avoided] or found
        elif recipient.last_egress:
            for name, _, option in found:
                if name == recipient.last_egress:
                    return option
        return self._spread(key.pool).choose(found)

    def avoid(self, recipient: Recipient, egress: str) -> None:
        """The receiver's answer asks for another address at the next attempt."""
        self._avoided[recipient.message_id, recipient.n] = egress
        if len(self._avoided) > _AVOIDED_KEPT:
            self._avoided.popitem(last=False)

    def is_usable(self, egress: Egress, now: int) -> bool:
        """Whether what stands in the lanes of an egress may still leave from it."""
        directory = self._directory()
        entry = directory.egress.entries.get(egress.name)
        if entry is None or entry.state is EgressState.DISABLED or entry.egress != egress:
            return False
        return not directory.pauses or egress_paused(directory, egress.name, now) is None

    def _spread(self, pool: str) -> Spread:
        spread = self._spreads.get(pool)
        if spread is None:
            spread = self._spreads[pool] = Spread()
        return spread

    def _look(
        self, pool: Pool, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> None:
        """Sort the addresses of a pool."""
        for member in pool.members:
            option = self._judge(member, key, site, zone, now, found)
            if option is not None:
                choice = (member.egress, member.weight, option)
                (found.warming if option.warms else found.warm).append(choice)

    def _judge(
        self, member: Member, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> Option | None:
        directory, name = self._directory(), member.egress
        entry = directory.egress.entries.get(name)
        if entry is None or not _may_send(directory, entry, now):
            return None
        if site.key == INBOUND_KEY:
            return Option(entry.egress, PLENTY)
        if not _reaches(entry.egress, site):
            found.unreachable = found.unreachable or []
            found.unreachable.append((name, member.weight, Option(entry.egress, PLENTY)))
            return None
        wait = self._throttles.wait(name, zone, key.tenant_id, key.domain, now)
        wait = wait or self._unreachable.wait(name, site, now)
        if wait is not None:
            found.waits.append((wait, False))
            return None
        if self._lane_is_full(name, site.key):
            found.full = True
            return None
        return self._warmup(entry.egress, key, site, zone, now, found)

    def _warmup(
        self, egress: Egress, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> Option | None:
        probing = self._unreachable.is_probe(egress.name, site.key)
        warms = "" if site.is_smarthost else self._counts_for(egress.name, zone.provider.name)
        if not warms:
            return Option(egress, 1 if probing else PLENTY)
        room = self._ledger.room(egress.name, warms, TrafficClass(key.traffic_class), now)
        if isinstance(room, Wait):
            found.waits.append((room, True))
            return None
        return Option(egress, 1 if probing else room, warms)

    def _counts_for(self, egress: str, provider: str) -> str:
        """The provider whose warmup of this egress is concerned; "" when it is warm there."""
        plans = self._directory().warmup
        if not plans:
            return ""
        plan = plans.get((egress, provider)) or plans.get((egress, OTHER))
        return "" if plan is None or plan.state is WarmupState.WARM else plan.provider

    def _blocked(self, pool: Pool, key: QueueKey, zone: Zone, found: _Found) -> Blocked:
        if not found.waits:
            name = f"of pool {pool.name}" if pool.name else "of this box"
            why = f"no egress address {name} may send: see `pillarbox egress list`"
            return Blocked(CLOSED, 0, why)
        first, is_warmup = min(found.waits, key=lambda one: one[0].until)
        if is_warmup:
            name = zone.provider.name or "other"
            place: Place = ("warmup", pool.name, name, key.traffic_class)
        else:
            place = ("zone", pool.name, zone.key, str(key.tenant_id), key.domain)
        return Blocked(place, first.until, first.why)


def _may_send(directory: Directory, entry: EgressEntry, now: int) -> bool:
    if entry.state is not EgressState.ENABLED:
        return False
    return not directory.pauses or egress_paused(directory, entry.egress.name, now) is None


def _reaches(egress: Egress, site: Site) -> bool:
    """Whether any host of the site has an address of a family that the egress has."""
    if egress.ipv4 and egress.ipv6:
        return True
    return any(
        egress.ipv6 if ":" in address else egress.ipv4
        for host in site.hosts
        for address in host.addresses
    )
