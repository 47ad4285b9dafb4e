"""Ledger: what this process may send of the budgets of warmup that all processes share.

    room        how many more may be planned now: an estimate, from memory
    promise     parcels that stand in a lane, so that the next one is not planned into the same room
    reserve     before MAIL: exact; from the portion in hand, else from another that is leased
    give_back   for an attempt that ended before RCPT

Promises: what is reserved in all processes together never passes a budget, by not one, whatever is
killed and however clocks move (day.py says how); near its end portions get small and idle ones return to
the store within seconds, so that it is reached exactly. What a killed process had in hand counts as spent,
and so does a portion whose lease or return failed in the store, because nobody knows what was written.
Bulk mail leases against what is open by now, transactional mail against the whole: their portions are kept
apart and count in one `used`.

Never waits for anybody but the store. Fails with StoreError from `reserve` and `step`: nothing is reserved.
Belongs to one event loop.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core import clock
from mta.status import TrafficClass
from mta.warmup.day import GUARD, Calendar, allowed, charges
from mta.warmup.model import BUDGETS, Wait, WarmupState, budget_key
from mta.warmup.portion import Pair, Portion, Reservation, View
from mta.warmup.wait import Names, Standing, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import tzinfo

    from mta.warmup.model import WarmupPlan, Window

__all__ = ["UNLIMITED", "Ledger", "Names", "Reservation", "Store", "Usage"]

UNLIMITED: Final = sys.maxsize
"""The room of an address that is warm."""

_IDLE: Final = clock.SECOND  # then a portion goes back, for others to use
_REMEMBERED: Final = clock.MINUTE  # budgets that nobody asks for are not looked at any longer


class Store(Protocol):
    """The record that all processes share (appliance.limits.Budgets)."""

    async def lease_all(
        self, key: str, limits: Mapping[int, int], amount: int
    ) -> tuple[int, Mapping[int, int]]:
        """What every window has room for, up to `amount`, and what is used of each after that."""

    async def give_back(self, key: str, window: int, amount: int) -> None:
        """Return the rest of a portion to one window."""

    async def used_of(self, prefix: str, windows: Collection[int]) -> Mapping[tuple[str, int], int]:
        """What is used of all budgets whose key begins so, by key and window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How a budget stands, as this process last saw it."""

    plan: WarmupPlan
    window: Window  # today, or this hour
    used: int
    open_for_bulk: int
    in_hand: int
    promised: int


class Ledger:
    """Reservations of one process. `processes` share the budgets; `portion` is the largest lease.

    `guard`: how long after its reservation a RCPT may be sent, in ms.
    """

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        *,
        store: Store,
        plans: Callable[[], Mapping[tuple[str, str], WarmupPlan]],
        steady: Callable[[], int],
        zone: tzinfo,
        portion: int,
        processes: int,
        names: Names,
        guard: int = GUARD,
    ) -> None:
        self._store, self._plans, self._steady = store, plans, steady
        self._calendar, self._guard = Calendar(zone), guard
        self._portion, self._processes, self._names = portion, processes, names
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._returns: list[tuple[str, int, int]] = []  # key, window, amount

    # -- planning, from memory -------------------------------------------------

    def standing(self, egress: str, provider: str) -> WarmupPlan | None:
        """The plan that holds; None when the address is warm to this provider."""
        plan = self._plans().get((egress, provider))
        return None if plan is None or plan.state is WarmupState.WARM else plan

    def room(self, egress: str, provider: str, traffic_class: TrafficClass, now: int) -> int | Wait:
        """How many more recipients may be planned now; UNLIMITED when warm."""
        plan = self.standing(egress, provider)
        if plan is None:
            return UNLIMITED
        pair, view = self._pair(plan, now), self._view(plan, now)
        room = self._room(pair, view, traffic_class)
        return room if room > 0 else self._wait(pair, view, traffic_class, now)

    def promise(self, egress: str, provider: str, count: int) -> None:
        """A parcel went into a lane."""
        plan = self.standing(egress, provider)
        if plan is not None:
            self._pair(plan).promised += count

    def withdraw(self, egress: str, provider: str, count: int) -> None:
        """It left the lane, to be sent or not."""
        pair = self._pairs.get((egress, provider))
        if pair is not None:
            pair.promised = max(0, pair.promised - count)

    def describe(self, now: int) -> list[Usage]:
        """Every budget, for metrics and for people."""
        standing = [self.standing(*name) for name in self._plans()]
        return [self._usage(self._pair(plan, now), plan, now) for plan in standing if plan]

    # -- sending, exact ----------------------------------------------------------

    async def reserve(
        self, egress: str, provider: str, traffic_class: TrafficClass, count: int, now: int
    ) -> Reservation | Wait:
        """Take up to `count` recipients, at least one, or say until when to wait."""
        plan = self.standing(egress, provider)
        if plan is None:
            return Reservation(egress=egress, provider=provider, count=count)
        pair, asked = self._pair(plan, now), clock.monotonic()
        async with pair.lock:  # two that find the portion empty lease one more, not two
            view = self._view(plan, now)
            if pair.in_hand(view, traffic_class) < count:
                await self._lease(pair, view, traffic_class, count)
                now += int((clock.monotonic() - asked) * clock.SECOND)  # the store took its time
                view = self._view(plan, now)
            taken = min(count, pair.in_hand(view, traffic_class))
            if plan.state is WarmupState.PAUSED or not taken:
                return self._wait(pair, view, traffic_class, now)
            portion = pair.portions[traffic_class]
            portion.left, portion.touched = portion.left - taken, now
        return Reservation(
            egress=egress, provider=provider, count=taken, key=pair.key, portion=portion
        )

    def give_back(self, reservation: Reservation, count: int, now: int) -> None:
        """Return recipients whose RCPT was never sent."""
        portion = reservation.portion
        if portion is None or count < 1:
            return
        pair = self._pairs.get((reservation.egress, reservation.provider))
        if pair is not None and portion in pair.portions.values():
            portion.left, portion.touched = portion.left + count, now
        else:
            self._put_away(reservation.key, portion, count)

    # -- once a second -----------------------------------------------------------

    async def step(self, now: int) -> bool:
        """Return what idles, look at the store; True when mail that waits may be planned anew."""
        for pair, view in self._known(now):
            self._let_go(pair, view, now)
        await self._flush()
        await self._look(now)
        woken = [self._wake(pair, view) for pair, view in self._known(now)]
        self._pairs = {name: pair for name, pair in self._pairs.items() if self.standing(*name)}
        return any(woken)

    async def close(self) -> None:
        """Return everything in hand, once nothing is sent any more."""
        for pair in self._pairs.values():
            self._drop(pair)
        await self._flush()

    # -- what is known -----------------------------------------------------------

    def _view(self, plan: WarmupPlan, now: int) -> View:
        found = charges(
            self._calendar, now, self._steady(), is_hourly=plan.is_hourly, guard=self._guard
        )
        return View(plan, found)

    def _pair(self, plan: WarmupPlan, now: int = 0) -> Pair:
        name = (plan.egress, plan.provider)
        key = budget_key(*name, is_hourly=plan.is_hourly)
        pair = self._pairs.get(name)
        if pair is None or pair.key != key:  # another kind of schedule was started meanwhile
            promised = self._drop(pair) if pair is not None else 0
            pair = self._pairs[name] = Pair(key, promised=promised)
        pair.asked_at = max(now, pair.asked_at)
        return pair

    def _known(self, now: int) -> Iterator[tuple[Pair, View | None]]:
        """Every budget that was asked for, with its plan; None: the address is warm now."""
        for name, pair in list(self._pairs.items()):
            plan = self.standing(*name)
            yield pair, None if plan is None else self._view(plan, now)

    def _room(self, pair: Pair, view: View, traffic_class: TrafficClass) -> int:
        if view.plan.state is WarmupState.PAUSED:
            return 0
        rest = 0 if traffic_class in pair.dry else pair.rest(view, traffic_class)
        if any(start not in pair.used for start in view.windows):
            rest = min(rest, self._portion)  # not looked yet: plan no more than a start
        return pair.in_hand(view, traffic_class) + rest - pair.promised

    def _wait(self, pair: Pair, view: View, traffic_class: TrafficClass, now: int) -> Wait:
        pair.waiting.add(traffic_class)
        standing = Standing(
            plan=view.plan, charges=view.charges, used=pair.used, traffic_class=traffic_class
        )
        return wait_for(standing, self._names, now, self._calendar.zone)

    def _usage(self, pair: Pair, plan: WarmupPlan, now: int) -> Usage:
        window = self._calendar.window(now, is_hourly=plan.is_hourly)
        charge = next(c for c in self._view(plan, now).charges if c.window == window)
        return Usage(
            plan=plan,
            window=window,
            used=pair.used.get(window.start, 0),
            open_for_bulk=allowed(plan, charge, TrafficClass.BULK),
            in_hand=sum(portion.left for portion in pair.portions.values()),
            promised=pair.promised,
        )

    # -- the store ---------------------------------------------------------------

    async def _lease(self, pair: Pair, view: View, traffic_class: TrafficClass, count: int) -> None:
        """Fetch another portion; what is left of a good one is part of it."""
        stale = pair.portions.get(traffic_class)
        if stale is not None and not stale.is_good(view):
            self._put_away(pair.key, pair.portions.pop(traffic_class))
        if traffic_class in pair.dry or view.plan.state is WarmupState.PAUSED:
            return
        share = pair.rest(view, traffic_class) // (4 * self._processes)
        wanted = max(count - pair.in_hand(view, traffic_class), min(self._portion, share))
        limits = view.limits(traffic_class)
        granted, used = await self._store.lease_all(pair.key, limits, wanted)
        pair.used |= used
        if not granted:
            pair.dry.add(traffic_class)
            return
        fresh = Portion(view.windows, view.plan.limit, granted, pair.asked_at)
        kept = pair.portions.setdefault(traffic_class, fresh)
        if kept is not fresh:
            kept.left += granted

    async def _flush(self) -> None:
        """Return what was put away. Taken off the list first: in doubt it counts as spent."""
        while self._returns:
            await self._store.give_back(*self._returns.pop())

    async def _look(self, now: int) -> None:
        """See what others have used and returned."""
        asked = [
            (pair, view)
            for pair, view in self._known(now)
            if view is not None and (pair.waiting or now - pair.asked_at < _REMEMBERED)
        ]
        windows = {start for _, view in asked for start in view.windows}
        if not windows:
            return
        found = await self._store.used_of(BUDGETS, windows)
        for pair, view in asked:
            pair.used = {start: found.get((pair.key, start), 0) for start in view.windows}
            pair.dry = {one for one in pair.dry if not pair.rest(view, one)}

    def _wake(self, pair: Pair, view: View | None) -> bool:
        """Whether somebody who was told to wait may ask again."""
        woken = {one for one in pair.waiting if view is None or self._room(pair, view, one) > 0}
        pair.waiting -= woken
        return bool(woken)

    def _let_go(self, pair: Pair, view: View | None, now: int) -> None:
        """Put away portions that nobody used for a second, or that are good for nothing any more."""
        for traffic_class, portion in list(pair.portions.items()):
            idles = abs(now - portion.touched) > _IDLE
            if idles or view is None or not portion.is_good(view):
                self._put_away(pair.key, pair.portions.pop(traffic_class))

    def _drop(self, pair: Pair) -> int:
        """Put away everything in hand; returns what was promised."""
        while pair.portions:
            self._put_away(pair.key, pair.portions.popitem()[1])
        return pair.promised

    def _put_away(self, key: str, portion: Portion, count: int | None = None) -> None:
        amount = portion.left if count is None else count
        if amount:
            self._returns += [(key, window, amount) for window in portion.windows]
