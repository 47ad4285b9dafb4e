"""Warmup days, in the worker: counts what each day of a warmup brought, and judges it when it is over.

Counted are the outcomes of attempts by (egress, provider, day of the event). A deferral that says nothing
of us (greylisting, a full mailbox, a host that cannot be reached) is left out. A complaint names neither
egress nor provider: the delivery that it is about is looked up in the log, and it counts on the day it came.
A day is judged SETTLE after its end, so that outcomes still under way are in. Who else judges it loses the
race and does nothing; a warmup that cannot be judged is logged and holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from appliance.core import clock, tasks
from appliance.core.errors import NotFoundError, StoreDamagedError
from appliance.core.scope import Scope
from appliance.warmup import DayCounts, due_days, idle_days
from mta.outcome.category import Category
from mta.status import EventKind
from mta.warmup.day import day_of, next_day, window_of_day
from mta.warmup.decide import DayFacts, Decision, Kind, decide, restarted
from mta.warmup.model import BUDGETS, WarmupState, budget_key, warmup_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from appliance.history import LoggedEvent, LogReader
    from appliance.limits import Budgets
    from appliance.warmup import DayBook, DayRecord, WarmupRecord

SETTLE: Final = 10 * clock.MINUTE
"""The answer to a final dot may take so long (RFC 5321 4.5.3.2.6)."""

BUDGETS_KEPT: Final = 40 * clock.DAY
HISTORY_KEPT: Final = 400  # days
STEP_PAUSE: Final = 60.0

_SYSTEM: Final = Scope.system(by="worker")
_BLOCKED: Final = frozenset(
    {Category.BLOCKED, Category.SPAM, Category.RATE_LIMITED, Category.POLICY}
)
_NOT_OURS: Final = frozenset(
    {
        Category.GREYLISTED,
        Category.MAILBOX_FULL,
        Category.MAILBOX_DISABLED,
        Category.USER_UNKNOWN,
        Category.DOMAIN_UNKNOWN,
        Category.DNS,
        Category.NETWORK,
    }
)
_DEFERRED: Final = frozenset({EventKind.DEFERRED, EventKind.EXPIRED})
_COUNTED: Final = _DEFERRED | {EventKind.DELIVERED, EventKind.BOUNCED, EventKind.COMPLAINED}
_WORRYING: Final = frozenset({Kind.PAUSE, Kind.STEP_BACK, Kind.RESTART})
log = logging.getLogger(__name__)


class Sent(msgspec.Struct, frozen=True):
    """Where an attempt left from and to whom: what is read of an event's data."""

    egress: str = ""
    provider: str = ""  # section of shaping.toml; "" = none
    category: str = ""


class FindDelivery(Protocol):
    """Where the delivery that a complaint is about left from."""

    async def __call__(self, message_id: int, n: int) -> Sent | None:
        """None when the log does not know it (any more)."""


class Deliveries:
    """FindDelivery, in the event log."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    async def __call__(self, message_id: int, n: int) -> Sent | None:
        """Complaints are few: reading the whole message does not matter."""
        return await asyncio.to_thread(self._find, message_id, n)

    def _find(self, message_id: int, n: int) -> Sent | None:
        try:
            events = self._reader.show(_SYSTEM, message_id).events
        except (NotFoundError, StoreDamagedError):  # one damaged day must not hold up all events
            return None
        for event in events:
            if event.n == n and event.kind is EventKind.DELIVERED:
                return msgspec.convert(event.data, Sent)
        return None


class WarmupConsumer:
    """An EventConsumer (appliance.history). A batch that comes again to this process counts once."""

    name = "warmup"

    def __init__(self, book: DayBook, zone: tzinfo, find: FindDelivery) -> None:
        self._book, self._zone, self._find = book, zone, find
        self._counted: dict[int, frozenset[str]] = {}  # shard -> events of its last batch

    async def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Count what this process has not counted."""
        concerned = [event for event in events if event.kind in _COUNTED]
        fresh = [e for e in concerned if e.id not in self._counted.get(e.shard, frozenset())]
        known = await self._book.providers() if fresh else {}
        if known:
            told = [(event, await self._sent(event)) for event in fresh]
            placed = [(event, sent, _provider(sent, known)) for event, sent in told if sent]
            await self._book.count(self._counts(placed))
        for shard in {event.shard for event in concerned}:
            self._counted[shard] = frozenset(one.id for one in concerned if one.shard == shard)

    async def _sent(self, event: LoggedEvent) -> Sent | None:
        if event.kind is EventKind.COMPLAINED:
            return await self._find(event.message_id, event.n)
        return msgspec.json.decode(event.data, type=Sent)

    def _counts(self, placed: Iterable[tuple[LoggedEvent, Sent, str]]) -> list[DayCounts]:
        counts: dict[tuple[str, str, str], Counter[str]] = {}
        for event, sent, provider in placed:
            if not provider:
                continue
            place = (sent.egress, provider, day_of(event.at, self._zone))
            counts.setdefault(place, Counter()).update(columns(event.kind, sent.category))
        return [
            DayCounts(egress=egress, provider=provider, day=day, **count)
            for (egress, provider, day), count in counts.items()
            if count
        ]


def _provider(sent: Sent, known: Mapping[str, frozenset[str]]) -> str:
    """The provider whose warmup an attempt belongs to; "" = none."""
    providers = known.get(sent.egress, frozenset())
    found = warmup_provider(sent.provider, providers)
    return found if found in providers else ""


def columns(kind: EventKind, category: str) -> tuple[str, ...]:
    """As what an outcome counts."""
    if kind is EventKind.DELIVERED:
        return ("delivered",)
    if kind is EventKind.COMPLAINED:
        return ("complained",)
    if kind in _DEFERRED and category in _NOT_OURS:
        return ()
    failed = "deferred" if kind in _DEFERRED else "bounced"
    return (failed, "blocked") if category in _BLOCKED else (failed,)


class WarmupDays:
    """The daily loop. `is_caught_up`: whether what happened while the worker was down is counted by now."""

    def __init__(  # noqa: PLR0913 - collaborators and settings, set once by the wiring
        self,
        book: DayBook,
        budgets: Budgets,
        *,
        zone: tzinfo,
        idle_days: int,
        has_feedback_loop: Callable[[str], bool],
        is_caught_up: Callable[[], bool] = lambda: True,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._book, self._budgets, self._zone = book, budgets, zone
        self._idle_days, self._has_feedback_loop = idle_days, has_feedback_loop
        self._is_caught_up, self._now = is_caught_up, now

    async def step(self) -> bool:
        """End pauses whose time has come; judge the days that are over."""
        if not self._is_caught_up():
            return False
        for lifted in await self._book.lift():
            log.warning("warmup of %s for %s: %s", lifted.egress, lifted.provider, lifted.reason)
        today = day_of(self._now() - SETTLE, self._zone)
        for standing in await self._book.warmups():
            name = f"judging the warmup of {standing.egress} for {standing.provider}"
            await tasks.guard(self._judge(standing, today), name=name)
        await self._budgets.forget(self._now() - BUDGETS_KEPT, prefix=BUDGETS)
        await self._book.forget(next_day(today, -HISTORY_KEPT))
        return False

    async def _judge(self, standing: WarmupRecord, today: str) -> None:
        if standing.state is WarmupState.WARM:
            await self._wake(standing, next_day(today, -1))
            return
        if standing.decided >= today:
            if standing.decided > next_day(today):  # a clock that was far ahead has judged
                await self._book.rewind(standing, next_day(today, -1))
            return
        found: WarmupRecord | None = standing
        for day in due_days(standing.decided, today):
            if found is None or found.state is WarmupState.WARM:
                return
            found = await self._close(found, day)

    async def _wake(self, standing: WarmupRecord, yesterday: str) -> None:
        """What is warm and was not used for long starts over."""
        idle = idle_days(standing, yesterday)
        if idle >= self._idle_days:
            found = await self._book.day(standing, yesterday)
            await self._write(standing, found, restarted(idle))

    async def _close(self, standing: WarmupRecord, day: str) -> WarmupRecord | None:
        brought = await self._book.day(standing, day)
        used = await self._used(standing, day)
        found = replace(brought, budget=standing.limit, used=used)
        return await self._write(standing, found, self._decision(standing, found))

    def _decision(self, standing: WarmupRecord, found: DayRecord) -> Decision:
        if standing.state is WarmupState.PAUSED:
            return Decision(kind=Kind.HOLD, stage=standing.stage, reason=standing.reason)
        facts = DayFacts(
            budget=found.budget,
            used=found.used,
            delivered=found.delivered,
            deferred=found.deferred,
            bounced=found.bounced,
            blocked=found.blocked,
            complained=found.complained,
            has_feedback_loop=self._has_feedback_loop(standing.provider),
            idle_days=idle_days(standing, found.day),
        )
        return decide(
            facts,
            standing.course.health,
            stage=standing.stage,
            stages=standing.stages,
            idle_days=self._idle_days,
            now=self._now(),
        )

    async def _used(self, standing: WarmupRecord, day: str) -> int:
        """What was used of the day, or of its busiest hour."""
        window, is_hourly = window_of_day(day, self._zone), standing.course.is_hourly
        first = window.start + -window.start % clock.HOUR if is_hourly else window.start
        step = clock.HOUR if is_hourly else window.end - window.start
        key = budget_key(standing.egress, standing.provider, is_hourly=is_hourly)
        found = await self._budgets.used_of(key, range(first, window.end, step))
        return max((used for (name, _), used in found.items() if name == key), default=0)

    async def _write(
        self, standing: WarmupRecord, found: DayRecord, decision: Decision
    ) -> WarmupRecord | None:
        after = await self._book.judge(standing, found, decision)
        if after is not None:
            log.log(
                logging.WARNING if decision.kind in _WORRYING else logging.INFO,
                "warmup of %s for %s, %s: %s to stage %d of %d: %s",
                standing.egress,
                standing.provider,
                found.day,
                decision.kind,
                after.stage + 1,
                after.stages,
                decision.reason,
            )
        return after
