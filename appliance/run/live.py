"""Live: how fast mail comes and goes, now and minute by minute; of a process, and of all as one.

    live       {accepted, delivered, deferred, bounced} recipients of the last SECONDS, connections, due_soon
    minutes    [minute, began at (ms), {accepted, delivered, deferred, bounced}] for each full minute known

Cheap enough to be asked every second: all of it is in memory, but for `due_soon`, which is as old as the
last count of the queue. Minutes are lost with their process: what is told of the box begins where the
youngest process began, so that no line falls because a process is missing in it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from mta.scheduling.traffic import SECONDS as A_MINUTE
from mta.scheduling.traffic import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from appliance.run.mta import Mta

Row = dict[str, Any]
SECONDS: Final = 10
"""A rate of now is the mean of so many."""


def live_handlers(mta: Mta) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """The methods by name."""
    return {"live": _live(mta), "minutes": _minutes(mta)}


def _live(mta: Mta) -> Callable[[Any], Awaitable[Row]]:
    async def live(_: object) -> Row:
        series = mta.traffic.series()
        found = [await each.operations.census.latest(1) for each in mta.deliveries]
        return {
            **{kind.value: sum(counts[-SECONDS:]) for kind, counts in series.items()},
            "connections": sum(each.sender.connections for each in mta.deliveries),
            "due_soon": sum(one.due_soon for one in found),
        }

    return live


def _minutes(mta: Mta) -> Callable[[Any], Awaitable[list[list[Any]]]]:
    async def minutes(_: object) -> list[list[Any]]:
        start = clock.now_ms() - round(clock.monotonic() * clock.SECOND)
        return [
            [minute, start + minute * clock.MINUTE, {kind.value: n for kind, n in counts.items()}]
            for minute, counts in mta.traffic.minutes().items()
        ]

    return minutes


def live_of(parts: Sequence[Row]) -> Row:
    """The whole box, a second; leaving is what nobody has to send any more."""
    sums = Counter[str]()
    for part in parts:
        sums.update(part)
    leaving = sums[Kind.DELIVERED] + sums[Kind.BOUNCED]
    return {
        "accepted_per_s": round(sums[Kind.ACCEPTED] / SECONDS, 1),
        "leaving_per_s": round(leaving / SECONDS, 1),
        "connections": sums["connections"],
        "due_next_hour": sums["due_soon"],
    }


def traffic_of(parts: Sequence[list[list[Any]]]) -> list[Row]:
    """The minutes that every process knows, oldest first, as recipients a second."""
    tables = [{minute: (at, counts) for minute, at, counts in part} for part in parts]
    known = set(tables[0]).intersection(*tables[1:]) if tables else set[int]()
    return [
        {"at": tables[0][minute][0], **_rates([table[minute][1] for table in tables])}
        for minute in sorted(known)
    ]


def _rates(counts: Sequence[dict[str, int]]) -> dict[str, float]:
    return {
        kind.value: round(sum(one[kind.value] for one in counts) / A_MINUTE, 2) for kind in Kind
    }
