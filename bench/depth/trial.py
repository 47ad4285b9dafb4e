"""Trial: what is measured of a box: its start, its rates beside another box, pause, kill switch.

    start_s       from `pillarbox serve` until all processes are healthy and submission greets
    first_s       until a message handed in then is at its receiver; known_s until the whole queue is known
    settle_s      from then until the box takes next to no CPU
    pss_mb        of all processes, then; peak_mb the most it ever was
    accepted_s    messages a second that many clients were told 250 for, at full speed
    delivered_s   the same messages, until the last one was at its receiver
    cpu_ms        of the box, a message of that burst; others_percent: what programs that have nothing to do
                  with us took of the machine meanwhile, which makes all of the row worth less
    p50/p99/max   ms from a client handing a message in to its receiver having it, at a modest rate
    pause_ms      from the change in control.db beginning to the last message of the paused tenant, the
                  clients handing in at full speed all the while; resume_ms to the first one again
    rest_s        what had waited meanwhile, delivered a second
    kill_ms       the same for the kill switch; revive_ms, revived_s

Two boxes that run side by side take turns with their bursts, so that what else the machine does hits
both. Whatever was accepted has to arrive; a message that does not is an error of the trial.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.base import BenchError
from relay.processes import TICKS, cpu_seconds, machine

from appliance.operations.model import Target
from depth import home as homes
from depth.home import LIVE, SOURCES, sending_domain
from depth.sink import FAST_SITES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from depth.box import RunningBox
    from depth.child import Child

FAST_DOMAINS: Final = [f"d{n}.s{n % FAST_SITES + 1}.fast.test" for n in range(300)]
_POLL: Final = 0.02
_ARRIVAL_LIMIT: Final = 120.0
_STILL: Final = 1.0  # seconds without an arrival: it has stopped
_WAITING_MEANWHILE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who takes part in a measurement beside the box."""

    sink: Child
    load: Child
    tenants: dict[str, int]


def begun(box: RunningBox, world: World, found: dict[str, float]) -> None:
    """A box that has just been started; `found` keeps what was seen before an error."""
    found["start_s"] = box.healthy_after()
    world.sink.ask("reset")
    begin(box, world, "first", count=1, clients=1)
    found["first_s"] = arrived(world, "first", 1) - box.started
    found["known_s"] = box.known_after()
    found["settle_s"] = box.settle()
    found["pss_mb"] = box.memory()
    found |= {f"pss_{name}_mb": value for name, value in box.memory_by_process().items()}
    warm_up(box, world)


def turns(
    boxes: Mapping[str, RunningBox], world: World, messages: int, count: int
) -> list[dict[str, dict[str, float]]]:
    """A burst of each and a modest rate of each, `count` times; each time another one begins."""
    found = []
    names = list(boxes)
    for number in range(count):
        turn: dict[str, dict[str, float]] = {}
        for name in names if number % 2 else reversed(names):
            turn[name] = burst(boxes[name], world, messages)
        for name in names if number % 2 else reversed(names):
            turn[name] |= paced(boxes[name], world, rate=50.0, count=250)
        found.append(turn)
    return found


def stops(box: RunningBox, world: World, found: dict[str, float]) -> None:
    """Pause and kill switch, under load."""
    target = Target(tenant_id=world.tenants[LIVE])
    found |= _stopped(
        box,
        world,
        stop=lambda: homes.pause(box.home, target),
        go=lambda: homes.resume(box.home, [world.tenants[LIVE]]),
        words=("pause_ms", "resume_ms", "rest_s"),
    )
    found |= _stopped(
        box,
        world,
        stop=lambda: homes.kill(box.home, is_on=True),
        go=lambda: homes.kill(box.home, is_on=False),
        words=("kill_ms", "revive_ms", "revived_s"),
    )


def warm_up(box: RunningBox, world: World) -> None:
    """Every domain is known and every connection made before anything is measured."""
    world.sink.ask("reset")
    begin(box, world, "warm", count=len(FAST_DOMAINS))
    arrived(world, "warm", finished(world, "warm")["accepted"])


def burst(box: RunningBox, world: World, messages: int) -> dict[str, float]:
    """As fast as the clients are answered."""
    world.sink.ask("reset")
    cpu, own, before = box.cpu(), cpu_seconds([os.getpid()]), machine()
    started = begin(box, world, "burst", count=messages)
    told = finished(world, "burst")
    last = arrived(world, "burst", told["accepted"])
    after, used = machine(), box.cpu() - cpu
    ticks = max(1, after.ticks - before.ticks)
    ours = (cpu_seconds([os.getpid()]) - own) * TICKS
    return {
        "cpu_ms": used * 1000 / told["accepted"],
        "others_percent": max(0.0, 100 * (ticks - after.idle + before.idle - ours) / ticks),
        "accepted_s": told["accepted"] / (told["ended"] - started),
        "delivered_s": told["accepted"] / (last - started),
    }


def paced(box: RunningBox, world: World, *, rate: float, count: int) -> dict[str, float]:
    """At a rate that leaves the box time to breathe."""
    world.sink.ask("reset")
    begin(box, world, "paced", count=count, rate=rate)
    told = finished(world, "paced")
    arrived(world, "paced", told["accepted"])
    tally = world.sink.ask("stand")["paced"]
    return {f"{name}_ms": tally[name] for name in ("p50", "p99", "max")}


def _stopped(
    box: RunningBox,
    world: World,
    *,
    stop: Callable[[], None],
    go: Callable[[], None],
    words: tuple[str, str, str],
) -> dict[str, float]:
    world.sink.ask("reset")
    begin(box, world, "stopped")
    _until(lambda: _count(world, "stopped")[0] >= 500, "the load does not arrive")
    changed = time.monotonic()
    stop()
    last = _still(world, "stopped", changed)
    waits = _count(world, "stopped")[0] + _WAITING_MEANWHILE
    _until(lambda: _stand(world, "stopped")["accepted"] >= waits, "too little is accepted")
    told = _ended(world, "stopped")
    before = _count(world, "stopped")[0]
    world.sink.ask("reset")
    went = time.monotonic()
    go()
    rest = told["accepted"] - before
    end = arrived(world, "stopped", rest)
    first = world.sink.ask("stand")["stopped"]["first"]
    return {
        words[0]: max(0.0, last - changed) * 1000,
        words[1]: (first - went) * 1000,
        words[2]: rest / (end - first),
    }


def begin(box: RunningBox, world: World, label: str, **changes: Any) -> float:
    """Start a stream of the live tenant to the fast receivers; when that was."""
    asked = {
        "place": box.places["submission"],
        "source": SOURCES[LIVE],
        "sender": f"app@{sending_domain(LIVE)}",
        "domains": FAST_DOMAINS,
        **changes,
    }
    started: float = world.load.ask("begin", label=label, **asked)
    return started


def finished(world: World, label: str) -> dict[str, Any]:
    """Wait until a stream has handed in all that it was asked for; how it went."""
    _until(lambda: _stand(world, label)["ended"] > 0, f"{label}: the clients do not finish")
    return _ended(world, label)


def _ended(world: World, label: str) -> dict[str, Any]:
    """Stop a stream; how it went."""
    told: dict[str, Any] = world.load.ask("end", label=label)
    if told["refused"]:
        raise BenchError(f"{label}: {told['refused']} messages were refused: {told['words']}")
    return told


def arrived(world: World, label: str, count: int) -> float:
    """Wait until so many have arrived; when the last one did. Raises BenchError."""
    _until(
        lambda: _count(world, label)[0] >= count,
        lambda: f"{label}: only {_count(world, label)[0]} of {count} messages arrived",
    )
    found, last = _count(world, label)
    if found > count:
        raise BenchError(f"{label}: {found} messages arrived where {count} were sent")
    return last


def arrived_within(world: World, label: str, count: int, seconds: float) -> int:
    """How many of `count` have arrived, after a while at most."""
    end = time.monotonic() + seconds
    while (found := _count(world, label)[0]) < count and time.monotonic() < end:
        time.sleep(_POLL)
    return found


def _still(world: World, label: str, since: float) -> float:
    """Wait until nothing arrives any more; when the last one did."""

    def quiet() -> bool:
        return time.monotonic() - max(since, _count(world, label)[1]) >= _STILL

    _until(quiet, f"{label}: it does not stop")
    return _count(world, label)[1]


def _count(world: World, label: str) -> tuple[int, float]:
    count, last = world.sink.ask("count", label=label)
    return count, last


def _stand(world: World, label: str) -> dict[str, Any]:
    found: dict[str, Any] = world.load.ask("stand", label=label)
    return found


def _until(met: Callable[[], bool], words: str | Callable[[], str]) -> None:
    end = time.monotonic() + _ARRIVAL_LIMIT
    while not met():
        if time.monotonic() > end:
            raise BenchError(words if isinstance(words, str) else words())
        time.sleep(_POLL)
