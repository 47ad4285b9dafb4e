"""Egress health: each address with its state, the mail of the last hours, and what is left of its warmup today.

What needs a look comes first. A box that has configured no address sends from its machine's own: one row.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from admin_ui.api.warmup import used_now
from appliance.core import clock
from appliance.egress import CheckState
from appliance.statistics import Counts, Dimension, Measure, Period, Step
from mta.egress import EgressState
from mta.warmup.model import WarmupState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from admin_ui.console.visit import Visit
    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.egress import EgressRecord, PoolRecord
    from appliance.warmup import WarmupRecord
    from mta.shaping.matching import ShapingBook

SHOWN: Final = 6
_MOST: Final = 500  # addresses are kept apart so far
_ORDER: Final = {"bad": 0, "look": 1, "off": 2, "way": 3, "good": 4}

State = tuple[str, str, str]
"""Word, kind of the badge, icon."""

_OFF: Final[Mapping[EgressState, State]] = {
    EgressState.DISABLED: ("Disabled", "off", "ban"),
    EgressState.DRAINING: ("Draining", "off", "arrow-down"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An address."""

    name: str
    title: str
    about: str
    state: State
    counts: Counts
    used: int  # of `limit`, today
    limit: int  # 0: none

    @property
    def attempts(self) -> int:
        """That were answered."""
        found = self.counts
        return found.delivered + found.deferred + found.bounced_hard + found.bounced_soft


def last_hours(now: int) -> Period:
    """This hour and the one before: hours are counted whole."""
    return Period(since=now - clock.HOUR, until=now + 1, step=Step.HOUR)


async def egress_rows(rooms: Rooms, visit: Visit) -> list[Row]:
    """All, what needs a look first."""
    scope, period = visit.scope, last_hours(visit.stage.now())
    egresses, pools, (warmups, held), suspended, shaping, ranked = await asyncio.gather(
        rooms.egresses.list(scope),
        rooms.pools.list(scope),
        warmups_of(rooms, scope),
        rooms.throttles.suspended(scope),
        rooms.files.shaping(),
        rooms.statistics.top(scope, period, Dimension.EGRESS, order=Measure.DELIVERED, limit=_MOST),
    )
    counts = {one.value: one.counts for one in ranked}
    if not egresses:
        return [_only(rooms.files.default_egress, counts)]
    used = await used_now(rooms, warmups)
    warming: dict[str, list[tuple[WarmupRecord, int]]] = defaultdict(list)
    for warmup, count in zip(warmups, used, strict=True):
        warming[warmup.egress].append((warmup, count))
    stopped = {
        one.subject.egress: receiver(shaping, one.subject.zone)
        for one in suspended
        if not one.subject.tenant_id and not one.subject.domain
    }
    named = _pools(pools)
    rows = [
        _row(one, named[one.name], warming[one.name], (stopped.get(one.name, ""), held), counts)
        for one in egresses
    ]
    return sorted(rows, key=lambda one: (_ORDER[one.state[1]], -one.counts.delivered, one.name))


async def warmups_of(
    rooms: Rooms, scope: Scope, egress: str = ""
) -> tuple[tuple[WarmupRecord, ...], frozenset[tuple[str, str]]]:
    """Of one address or all, and which of them yesterday's judgement keeps."""
    return await asyncio.gather(rooms.warmups.list(scope, egress), rooms.warmups.held(scope))


def receiver(shaping: ShapingBook, zone: str) -> str:
    """A receiver as people call it; a zone without a section is a host."""
    return shaping.providers[zone].title if zone in shaping.providers else zone


def _only(name: str, counts: Mapping[str, Counts]) -> Row:
    return Row(
        name=name,
        title="The machine's own address",
        about=name,
        state=("Enabled", "good", "check"),
        counts=counts.get(name, Counts()),
        used=0,
        limit=0,
    )


def _pools(pools: Iterable[PoolRecord]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for pool in pools:
        for member in pool.members:
            found[member.egress].append(pool.name)
    return found


def _row(
    one: EgressRecord,
    pools: Sequence[str],
    warming: Sequence[tuple[WarmupRecord, int]],
    known: tuple[str, AbstractSet[tuple[str, str]]],
    counts: Mapping[str, Counts],
) -> Row:
    daily = [
        (warmup.limit, used)
        for warmup, used in warming
        if warmup.state is WarmupState.WARMING and not warmup.course.is_hourly
    ]
    return Row(
        name=one.name,
        title=" ".join(one.addresses),
        about=", ".join((one.name, *pools)),
        state=state_of(one, [warmup for warmup, _ in warming], *known),
        counts=counts.get(one.name, Counts()),
        used=sum(used for _, used in daily),
        limit=sum(limit for limit, _ in daily),
    )


def is_held(one: WarmupRecord, held: AbstractSet[tuple[str, str]]) -> bool:
    """Whether a person, or yesterday's judgement (Warmups.held), keeps it where it is."""
    is_kept = one.state is WarmupState.WARMING and (one.egress, one.provider) in held
    return is_kept or one.state is WarmupState.PAUSED


def state_of(
    one: EgressRecord,
    warmups: Sequence[WarmupRecord],
    stopped: str = "",
    kept: AbstractSet[tuple[str, str]] = frozenset(),
) -> State:
    """How an address stands; the gravest decides. `kept`: as Warmups.held tells. Pure."""
    if one.state in _OFF:
        return _OFF[one.state]
    if stopped:
        return f"Suspended at {stopped}", "bad", "ban"
    if any(one.dns(address) is CheckState.WRONG for address in one.addresses):
        return "DNS wrong", "bad", "x"
    held = sum(is_held(each, kept) for each in warmups)
    under_way = [each for each in warmups if each.state is WarmupState.WARMING]
    if held:
        return f"Warmup held at {held} of {len(warmups)}", "look", "circle-pause"
    if under_way:
        slowest = min(under_way, key=lambda each: each.stage / each.stages)
        return f"Stage {max(slowest.stage, 0) + 1} of {slowest.stages}", "way", "flame"
    return ("Warm" if warmups else "Enabled"), "good", "check"
