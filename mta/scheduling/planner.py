"""Planner: from which egress a parcel leaves, or what it waits for. Decided at dispatch, never before.

    pool of the message -> addresses that may go there now -> warming ones with room, else warm ones
    -> the fallback pool, and its fallback -> wait, and say for what

An address may go when it is enabled and not paused, reaches a host of the site, is not throttled for
this zone, tenant or domain, its last connection there did not fail, and its lane has room. A retry
prefers the address that got the last answer (greylisting keeps the triple). Nothing here sends, writes
or waits; what is planned is only promised to the warmup, and reserved when it is sent.

Asked for every recipient, so what a generation of the directory settles is kept until the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.egress import EgressState
from mta.scheduling.blocked import CLOSED, SITE, WARMUP, ZONE, Blocked, full_lane
from mta.scheduling.gate import Leg, egress_paused, leg_pause, pause_stop
from mta.scheduling.parcel import key_of
from mta.scheduling.spread import Spread
from mta.status import TrafficClass
from mta.transport.route import INBOUND_KEY
from mta.warmup.model import OTHER, Wait, WarmupState

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory, Pause
    from mta.egress import EgressPlan, Member
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
_NONE: Final[frozenset[str]] = frozenset()
_IPV4: Final = 1
_IPV6: Final = 2


@dataclass(frozen=True, slots=True)
class Option:
    """An address that may be used, with room for so many recipients."""

    egress: Egress
    room: int
    warms: str = ""  # the provider whose warmup it counts for; "" = none


_Choice = tuple[str, int, Option]


class _Stand:
    """An enabled address in a pool, with what is the same for every message."""

    __slots__ = ("egress", "families", "free", "name", "weight")

    def __init__(self, egress: Egress, member: Member) -> None:
        self.egress, self.name, self.weight = egress, egress.name, member.weight
        self.families = _IPV4 * egress.ipv4 | _IPV6 * egress.ipv6
        self.free: _Choice = (self.name, self.weight, Option(egress, PLENTY))


@dataclass(frozen=True, slots=True)
class _Rank:
    """The enabled addresses of a pool."""

    name: str
    stands: tuple[_Stand, ...]
    spread: Spread


class _Found:
    """What is found out on the way through the pools."""

    __slots__ = ("families", "full", "out_of_reach", "paused", "waits")

    def __init__(self, site: Site) -> None:
        self.families = _families(site)
        self.waits: list[tuple[Wait, str, str]] = []  # for what kind of place, and which egress
        self.full = False  # a full lane
        self.paused: Pause | None = None  # a person
        self.out_of_reach: list[_Choice] = []  # they are of the wrong family


class Planner:
    """Chooses for one shard."""

    def __init__(
        self,
        *,
        directory: Callable[[], Directory],
        throttles: Throttles,
        ledger: Ledger,
        unreachable: Unreachable,
        lane_is_full: Callable[[str, str, QueueKey], bool],
    ) -> None:
        self._directory, self._throttles, self._ledger = directory, throttles, ledger
        self._unreachable, self._lane_is_full = unreachable, lane_is_full
        self._spreads: dict[str, Spread] = {}
        self._avoided: OrderedDict[tuple[int, int], frozenset[str]] = OrderedDict()
        self._plan: EgressPlan | None = None
        self._ranks: dict[tuple[str, int, str], tuple[_Rank, ...]] = {}

    def place(
        self, recipient: Recipient, key: QueueKey, site: Site, zone: Zone, now: int
    ) -> Option | Blocked:
        """The address for a recipient (or for all that travel with it)."""
        found, ranks, tried = _Found(site), self._ranks_of(key), _NONE
        if self._avoided:
            tried = self._avoided.get((recipient.message_id, recipient.n), _NONE)
        if recipient.last_egress and recipient.last_egress not in tried:
            known = self._stand(ranks, recipient.last_egress)
            choice = self._judge(known, key, site, zone, now, found) if known else None
            if choice is not None:
                return choice[2]
        spare: Option | None = None
        for rank in ranks:
            choices = self._look(rank, key, site, zone, now, found)
            if tried:
                spare = spare or (choices[0][2] if choices else None)
                choices = [choice for choice in choices if choice[0] not in tried]
            if choices:
                return rank.spread.choose(choices)
        return spare or self._without(ranks, key, site, zone, now, found)

    def room(self, key: QueueKey, site: Site, zone: Zone, now: int) -> int | Blocked:
        """How many recipients of a key could leave now."""
        found, ranks = _Found(site), self._ranks_of(key)
        for rank in ranks:
            choices = self._look(rank, key, site, zone, now, found)
            if choices:
                return sum(option.room for _, _, option in choices)
        without = self._without(ranks, key, site, zone, now, found)
        return without.room if isinstance(without, Option) else without

    def avoid(self, recipient: Recipient, egress: str) -> bool:
        """The receiver's answer asks for another address; whether there is one that was not tried."""
        place = (recipient.message_id, recipient.n)
        before = self._avoided.pop(place, _NONE)
        tried = before | {egress}
        names = {stand.name for rank in self._ranks_of(key_of(recipient)) for stand in rank.stands}
        if egress in before or names <= tried:
            return False
        self._avoided[place] = tried
        if len(self._avoided) > _AVOIDED_KEPT:
            self._avoided.popitem(last=False)
        return True

    def warms(self, egress: str, site: Site, zone: Zone) -> str:
        """The provider whose warmup of this egress mail to a site counts for; "" when none does."""
        plans = self._directory().warmup
        if not plans or site.is_smarthost or site.key == INBOUND_KEY:
            return ""
        plan = plans.get((egress, zone.provider.name)) or plans.get((egress, OTHER))
        return "" if plan is None or plan.state is WarmupState.WARM else plan.provider

    def warmup_place(self, key: QueueKey, zone: Zone) -> Place:
        """Where mail waits for the budgets of its pool."""
        pool = self._ranks_of(key)[0].name
        return (WARMUP, pool, zone.provider.name or OTHER, key.traffic_class)

    def is_usable(self, egress: Egress, now: int) -> bool:
        """Whether what stands in the lanes of an egress may still leave from it."""
        directory = self._directory()
        entry = directory.egress.entries.get(egress.name)
        if entry is None or entry.state is EgressState.DISABLED or entry.egress != egress:
            return False
        return not directory.pauses or egress_paused(directory, egress.name, now) is None

    # -- the pools of a generation -------------------------------------------

    def _ranks_of(self, key: QueueKey) -> tuple[_Rank, ...]:
        """The pool of a key, then its fallbacks."""
        plan = self._directory().egress
        if plan is not self._plan:
            self._plan = plan
            self._ranks.clear()
        asked = (key.pool, key.tenant_id, key.traffic_class)
        found = self._ranks.get(asked)
        if found is None:
            found = self._ranks[asked] = self._read(plan, key)
        return found

    def _read(self, plan: EgressPlan, key: QueueKey) -> tuple[_Rank, ...]:
        pool = plan.pool_for(key.pool, key.tenant_id, TrafficClass(key.traffic_class))
        ranks = []
        for one in plan.chain(pool, key.tenant_id):
            entries = ((plan.entries.get(member.egress), member) for member in one.members)
            stands = tuple(
                _Stand(entry.egress, member)
                for entry, member in entries
                if entry is not None and entry.state is EgressState.ENABLED
            )
            spread = self._spreads.setdefault(one.name, Spread())
            ranks.append(_Rank(one.name, stands, spread))
        return tuple(ranks)

    @staticmethod
    def _stand(ranks: tuple[_Rank, ...], egress: str) -> _Stand | None:
        return next((s for rank in ranks for s in rank.stands if s.name == egress), None)

    # -- who may go ------------------------------------------------------------

    def _look(
        self, rank: _Rank, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> list[_Choice]:
        """The addresses of a pool to choose from: those that are warming if any has room."""
        warming: list[_Choice] = []
        warm: list[_Choice] = []
        throttled, is_full = self._throttles.wait, self._lane_is_full
        is_silent = self._unreachable.is_probe
        is_plain = self._is_plain(site, key)
        for stand in rank.stands:
            if (
                is_plain
                and stand.families & found.families
                and not is_silent(stand.name, site.key)
                and throttled(stand.name, zone, key.tenant_id, key.domain, now) is None
                and not is_full(stand.name, site.key, key)
            ):
                warm.append(stand.free)
                continue
            choice = self._judge(stand, key, site, zone, now, found)
            if choice is not None:
                (warming if choice[2].warms else warm).append(choice)
        return warming or warm

    def _is_plain(self, site: Site, key: QueueKey) -> bool:
        """Whether no pause and no warmup can keep anybody from a site; mostly so."""
        directory = self._directory()
        return not (
            directory.pauses_of(key.tenant_id, key.domain)
            or directory.warmup
            or site.key == INBOUND_KEY
        )

    def _judge(
        self, stand: _Stand, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> _Choice | None:
        name, directory = stand.name, self._directory()
        if directory.pauses:
            pause = leg_pause(directory, key, Leg(site.name, zone.provider.name, name), now)
            if pause is not None:
                found.paused = pause
                return None
        if site.key == INBOUND_KEY:
            return stand.free
        if not stand.families & found.families:
            found.out_of_reach.append(stand.free)
            return None
        wait, kind = self._throttles.wait(name, zone, key.tenant_id, key.domain, now), ZONE
        if wait is None:
            wait, kind = self._unreachable.wait(name, site, now), SITE
        if wait is not None:
            found.waits.append((wait, kind, name))
        elif self._lane_is_full(name, site.key, key):
            found.full = True
        else:
            return self._room(stand, key, site, zone, now, found)
        return None

    def _room(
        self, stand: _Stand, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> _Choice | None:
        """Where its warmup, or a site that may not answer, takes but a few."""
        most = 1 if self._unreachable.is_probe(stand.name, site.key) else PLENTY
        warms = self.warms(stand.name, site, zone)
        room: int | Wait = PLENTY
        if warms:
            room = self._ledger.room(stand.name, warms, TrafficClass(key.traffic_class), now)
        if isinstance(room, Wait):
            found.waits.append((room, WARMUP, stand.name))
            return None
        return stand.name, stand.weight, Option(stand.egress, min(room, most), warms)

    # -- when nobody may ---------------------------------------------------------

    def _without(
        self,
        ranks: tuple[_Rank, ...],
        key: QueueKey,
        site: Site,
        zone: Zone,
        now: int,
        found: _Found,
    ) -> Option | Blocked:
        """What is waited for; addresses that reach no host go all the same: the transport says why."""
        pool = ranks[0].name
        if found.full:
            return full_lane(pool, site, key)
        if found.waits:
            return self._wait(pool, key, site, zone, now, found)
        if found.paused is not None:
            return pause_stop(found.paused)
        if found.out_of_reach:
            return ranks[0].spread.choose(found.out_of_reach)
        of = f"of pool {pool}" if pool else "of this box"
        why = f"no egress address {of} may send: see `pillarbox egress list`"
        return Blocked((CLOSED, "pool", pool), 0, why)

    def _wait(
        self, pool: str, key: QueueKey, site: Site, zone: Zone, now: int, found: _Found
    ) -> Blocked:
        """For the address that may go first."""
        first, kind, egress = min(found.waits, key=lambda one: one[0].until)
        place: Place = (SITE, pool, site.key)
        if kind == WARMUP:
            place = self.warmup_place(key, zone)
        elif kind == ZONE:
            whose = self._whose(egress, zone, key, first.until, now)
            place = (ZONE, pool, zone.key, *whose)
        return Blocked(place, first.until, first.why)

    def _whose(
        self, egress: str, zone: Zone, key: QueueKey, until: int, now: int
    ) -> tuple[str, ...]:
        """Whose mail is suspended: all, the tenant's (to however many domains), or that to the domain."""
        for tenant_id, domain, words in (
            (0, "", ()),
            (key.tenant_id, "", (str(key.tenant_id),)),
        ):
            wait = self._throttles.wait(egress, zone, tenant_id, domain, now)
            if wait is not None and wait.until == until:
                return words
        return ("", key.domain)


def _families(site: Site) -> int:
    """Over which families of addresses a host of the site can be reached."""
    found = 0
    for host in site.hosts:
        for address in host.addresses:
            found |= _IPV6 if ":" in address else _IPV4
    return found
