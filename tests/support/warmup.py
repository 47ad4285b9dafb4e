"""Warmup for tests: a world with clocks and plans, and processes that send in it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING

from mta.status import TrafficClass
from mta.warmup.ledger import Ledger, Names, Reservation
from mta.warmup.model import WarmupPlan, WarmupState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import tzinfo

    from mta.warmup.ledger import Store
    from mta.warmup.model import Wait

_TRANSACTIONAL = TrafficClass.TRANSACTIONAL
NAMES = Names(address=lambda name: "203.0.113.7", provider=lambda name: name.title())


def plan(**given) -> WarmupPlan:
    usual = {"egress": "a", "provider": "google", "state": WarmupState.WARMING, "stage": 0}
    return WarmupPlan(**usual | {"stages": 9, "limit": 200} | given)


class MemoryStore:
    """A record without a disk, for tests of clocks; the real one is appliance.limits.Budgets."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, int]] = Counter()

    async def lease_all(
        self, key: str, limits: Mapping[int, int], amount: int
    ) -> tuple[int, dict[int, int]]:
        room = min(limit - self._used[key, start] for start, limit in limits.items())
        granted = max(0, min(amount, room))
        for start in limits:
            self._used[key, start] += granted
        return granted, {start: self._used[key, start] for start in limits}

    async def give_back(self, key: str, window: int, amount: int) -> None:
        self._used[key, window] -= amount

    async def used_of(self, prefix: str, windows: Collection[int]) -> dict[tuple[str, int], int]:
        return {name: used for name, used in self._used.items() if name[1] in windows}


class World:
    """What all processes of a machine see. `at` is the wall clock; `ahead` is how far it was set."""

    def __init__(self, at: int, *plans: WarmupPlan, zone: tzinfo = UTC) -> None:
        self.at, self.ahead, self.zone = at, 0, zone
        self.plans = {(one.egress, one.provider): one for one in plans}

    def move(self, ms: int) -> None:
        self.at += ms

    def set_clock(self, ms: int) -> None:
        """Somebody sets the wall clock by so much."""
        self.at += ms
        self.ahead += ms

    def steady(self) -> int:
        return self.at - self.ahead

    def set_plan(self, one: WarmupPlan) -> None:
        self.plans[one.egress, one.provider] = one


class Process:
    """One process; asks always for the same egress and provider."""

    def __init__(self, world: World, store: Store, portion: int = 20, processes: int = 2) -> None:
        self.world = world
        self.ledger = Ledger(
            store=store,
            plans=lambda: world.plans,
            steady=world.steady,
            zone=world.zone,
            portion=portion,
            processes=processes,
            names=NAMES,
        )

    def room(self, traffic_class: TrafficClass = _TRANSACTIONAL) -> int | Wait:
        return self.ledger.room("a", "google", traffic_class, self.world.at)

    async def reserve(
        self, count: int, traffic_class: TrafficClass = _TRANSACTIONAL
    ) -> Reservation | Wait:
        return await self.ledger.reserve("a", "google", traffic_class, count, self.world.at)

    def give_back(self, taken: Reservation, count: int) -> None:
        self.ledger.give_back(taken, count, self.world.at)

    async def step(self) -> bool:
        return await self.ledger.step(self.world.at)
