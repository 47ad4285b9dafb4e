"""Questions: every kind of search and list with its limit, asked many times, and of a cold log."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.core import ids
from appliance.core.clock import DAY, HOUR
from appliance.core.scope import Scope
from appliance.history import EventFilters, Filters, Flag, LogReader, cursor_at
from appliance.statistics import Dimension, Of, Period, Step, opened
from eventlog.traffic import START
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.core.database import Location
    from eventlog.traffic import Sample, Traffic

RECIPIENT: Final = 200.0
LIST: Final = 100.0
COUNTS: Final = 50.0
PAGE: Final = 50
BOX: Final = Scope.system()
SMALL: Final = Scope.tenant(49)
LARGE: Final = Scope.tenant(1)


@dataclass(frozen=True, slots=True)
class Question:
    """One kind; `ask` makes one of it out of the dice and says how many rows came."""

    name: str
    limit: float  # ms, p95
    ask: Callable[[LogReader, random.Random], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """How long it took, ms; `cpu` is the median of what this process burnt."""

    name: str
    limit: float
    rows: int
    p50: float
    p95: float
    cpu: float
    cold: float  # the median of a log that was in no memory


class Times:
    """Of one question, asked again and again."""

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._cpu: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """Asked once."""
        began, burnt = time.perf_counter(), time.process_time()
        yield
        self._cpu.append((time.process_time() - burnt) * 1000)
        self._wall.append((time.perf_counter() - began) * 1000)

    def asked(self, name: str, limit: float, rows: int, cold: float) -> Asked:
        """What came of it."""
        wall, cpu = sorted(self._wall), sorted(self._cpu)
        middle, high = len(wall) // 2, int(len(wall) * 0.95)
        return Asked(name, limit, rows, wall[middle], wall[high], cpu[middle], cold)


def questions(traffic: Traffic) -> list[Question]:
    """Every kind."""
    return [
        *_of_addresses(traffic.samples),
        *_newest(traffic),
        *_of_places(),
        *_of_states(),
        *_of_messages(traffic.samples),
        *_of_events(traffic),
    ]


def _search(
    name: str,
    limit: float,
    make: Callable[[random.Random], Filters],
    scope: Scope = BOX,
) -> Question:
    return Question(
        name, limit, lambda log, dice: len(log.search(scope, make(dice), limit=PAGE).rows)
    )


def _of_addresses(pool: list[Sample]) -> list[Question]:
    def address(dice: random.Random) -> str:
        return dice.choice(pool).address

    def common(dice: random.Random) -> Filters:
        return Filters(address=f"user{dice.randint(1, 9)}*")

    def of_its_tenant(log: LogReader, dice: random.Random) -> int:
        return _of_its_tenant(log, dice.choice(pool))

    return [
        _search("recipient", RECIPIENT, lambda d: Filters(address=address(d))),
        Question("recipient, of its tenant", RECIPIENT, of_its_tenant),
        _search("recipient, nobody", RECIPIENT, lambda d: Filters(address=f"no{d.random()}@x.y")),
        _search("prefix, few hits", RECIPIENT, lambda d: Filters(address=address(d)[:10] + "*")),
        _search("prefix, very many", RECIPIENT, common),
        _search("prefix, all there are", RECIPIENT, lambda _: Filters(address="user*")),
        _search("prefix, very many, small tenant", RECIPIENT, common, SMALL),
    ]


def _newest(traffic: Traffic) -> list[Question]:
    return [
        _search("newest", LIST, lambda _: Filters()),
        _search("newest of a large tenant", LIST, lambda _: Filters(), LARGE),
        _search("newest of a small tenant", LIST, lambda _: Filters(), SMALL),
        Question("a page far down", LIST, lambda log, d: _far_down(log, traffic, d)),
        _search("an hour long ago", LIST, _an_hour),
    ]


def _of_places() -> list[Question]:
    def sender(dice: random.Random) -> str:
        return f"shop@t{dice.randint(1, 50)}.example"

    def both(dice: random.Random) -> Filters:
        return Filters(sender=sender(dice), domain="gmx.de")

    def tagged(dice: random.Random) -> Filters:
        return Filters(tag=f"tag-{dice.randint(0, 19)}")

    return [
        _search("domain, common", LIST, lambda _: Filters(domain="gmail.com")),
        _search("domain, common, small tenant", LIST, lambda _: Filters(domain="gmail.com"), SMALL),
        _search("domain, rare", LIST, lambda d: Filters(domain=f"d{d.randint(0, 4999)}.example")),
        _search("tag", LIST, tagged),
        _search("tag, small tenant", LIST, tagged, SMALL),
        _search("tag, none", LIST, lambda _: Filters(tag="none")),
        _search("sender", LIST, lambda d: Filters(sender=sender(d))),
        _search("sender and recipient's domain", LIST, both),
    ]


def _of_states() -> list[Question]:
    bounced, complained = Filters(status=Status.BOUNCED), Filters(flags=Flag.COMPLAINED)
    return [
        _search("bounced", LIST, lambda _: bounced),
        _search("bounced, small tenant", LIST, lambda _: bounced, SMALL),
        _search("deferred", LIST, lambda _: Filters(status=Status.DEFERRED)),
        _search("held: none", LIST, lambda _: Filters(status=Status.HELD)),
        _search("delivered", LIST, lambda _: Filters(status=Status.DELIVERED)),
        _search("complained", LIST, lambda _: complained),
        _search("complained, small tenant", LIST, lambda _: complained, SMALL),
    ]


def _of_messages(pool: list[Sample]) -> list[Question]:
    def own(dice: random.Random) -> Filters:
        return Filters(message=ids.to_text(dice.choice(pool).message_id))

    return [
        _search("message id", LIST, own),
        _search("Message-ID header", LIST, lambda d: Filters(message=d.choice(pool).header)),
        Question("one message", LIST, lambda log, d: _show(log, d.choice(pool).message_id)),
    ]


def _of_events(traffic: Traffic) -> list[Question]:
    rare = EventFilters(kinds=frozenset({EventKind.COMPLAINED}))

    def none_new(log: LogReader, _: random.Random) -> int:
        return len(log.events(BOX, EventFilters(), cursor=log.end()).events)

    return [
        Question("events, a page", LIST, lambda log, d: _events(log, traffic, d, EventFilters())),
        Question("events, complaints", LIST, lambda log, d: _events(log, traffic, d, rare)),
        Question("events, none new", LIST, none_new),
    ]


def _of_its_tenant(log: LogReader, one: Sample) -> int:
    filters = Filters(address=one.address)
    return len(log.search(Scope.tenant(one.tenant), filters, limit=PAGE).rows)


def _far_down(log: LogReader, traffic: Traffic, dice: random.Random) -> int:
    one = dice.choice(traffic.samples)
    cursor = f"{ids.to_text(one.message_id)}.0"
    return len(log.search(BOX, Filters(), cursor=cursor, limit=PAGE).rows)


def _an_hour(dice: random.Random) -> Filters:
    since = START + int(dice.random() * HOUR)
    return Filters(since=since, until=since + HOUR)


def _show(log: LogReader, message_id: int) -> int:
    return len(log.show(BOX, message_id).events)


def _events(log: LogReader, traffic: Traffic, dice: random.Random, what: EventFilters) -> int:
    at = START + int(dice.random() * (traffic.now - START))
    return len(log.events(BOX, what, cursor=cursor_at(at), limit=100).events)


def ask_all(location: Location, traffic: Traffic, *, times: int, cold: int) -> list[Asked]:
    """Every question: some of a cold log each with a reader of its own, then many of a warm one."""
    dice = random.Random(7)
    reader = LogReader(location)
    found = []
    for question in questions(traffic):
        chilled = sorted(_of_cold(location, question, dice) for _ in range(cold))
        rows = question.ask(reader, dice)
        warm = Times()
        for _ in range(times):
            with warm.one():
                rows = max(rows, question.ask(reader, dice))
        cold_ms = chilled[len(chilled) // 2] if chilled else 0.0
        found.append(warm.asked(question.name, question.limit, rows, cold_ms))
    reader.close()
    return found


def _of_cold(location: Location, question: Question, dice: random.Random) -> float:
    chill(location)
    reader = LogReader(location)
    began = time.perf_counter()
    question.ask(reader, dice)
    took = (time.perf_counter() - began) * 1000
    reader.close()
    return took


def chill(location: Location) -> None:
    """Let the system forget the files: what it knows of them comes from the disk again."""
    if isinstance(location, str):
        return
    for path in Path(location).glob("*.db*"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def ask_statistics(location: Location, now: int, *, times: int) -> list[Asked]:
    """Questions to the counts."""
    return asyncio.run(_ask_statistics(location, now, times))


async def _ask_statistics(location: Location, now: int, times: int) -> list[Asked]:
    month = Period(since=now - 30 * DAY, until=now)
    hours = Period(since=now - 7 * DAY, until=now, step=Step.HOUR)
    found = []
    async with opened(location) as s:
        asked = {
            "series of a month by day": lambda: s.series(BOX, month),
            "series of a week by hour, a tenant": lambda: s.series(LARGE, hours),
            "series of a provider by hour": lambda: s.series(
                BOX, hours, Of(dimension=Dimension.PROVIDER, value="google")
            ),
            "totals of a month": lambda: s.totals(BOX, month),
            **{
                f"top by {by}, a month": (lambda by=by: s.top(BOX, month, by))
                for by in Dimension
                if by is not Dimension.TOTAL
            },
            "top tags of a week of hours": lambda: s.top(BOX, hours, Dimension.TAG),
            "top domains of a tenant": lambda: s.top(LARGE, month, Dimension.DOMAIN),
        }
        for name, ask in asked.items():
            rows, warm = 0, Times()
            for _ in range(times):
                with warm.one():
                    answer = await ask()
                rows = len(answer) if isinstance(answer, tuple) else 1
            found.append(warm.asked(name, COUNTS, rows, 0.0))
    return found
