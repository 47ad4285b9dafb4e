"""Scenarios: everything due at once, one tenant's flood beside another's receipt, a dead destination.

Drain: what waits is due, and its receivers take it at once. How fast it goes, alone and while the live
tenant hands in at full speed.

Flood: the tenant `flood` has bulk mail due now, half of it to one large provider, all of it to receivers
who take DELAY seconds for each message, or who are a provider with a slow rate; `urgent` sends a
transactional message every now and then, to those same receivers in turns with a fast one. Beside it: the
same urgent mail with the flood not due.

Dead: mail due now for one destination that refuses connections, or takes them and never greets; the
live tenant sends at full speed, then at a modest rate, in turns with a box whose dead mail is not due.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from depth import trial as looks
from depth.box import RunningBox
from depth.home import SOURCES, URGENT, sending_domain

if TYPE_CHECKING:
    from appliance.core.home import Home
    from depth.trial import World

DELAY: Final = 0.1
URGENT_SECONDS: Final = 25.0
_URGENT_RATE: Final = 10.0
_PATIENCE: Final = 30.0
_WINDOW: Final = 5.0
_SAME = "d0.s1.slow.test"
_OTHER = "d0.s1.fast.test"


def flood(home: Home, world: World, found: dict[str, float]) -> None:
    """Latencies of the urgent tenant's messages, by where they go."""
    with RunningBox(home) as box:
        found["start_s"] = box.healthy_after()
        found["known_s"] = box.known_after()
        world.sink.ask("reset")
        time.sleep(2.0)
        flooded = world.sink.ask("count", label="flood")[0]
        began = time.monotonic()
        for label, domain in (("same", _SAME), ("other", _OTHER)):
            looks.begin(
                box,
                world,
                label,
                source=SOURCES[URGENT],
                sender=f"app@{sending_domain(URGENT)}",
                domains=[domain],
                clients=2,
                rate=_URGENT_RATE,
                count=int(_URGENT_RATE * URGENT_SECONDS),
            )
        accepted = {label: looks.finished(world, label)["accepted"] for label in ("same", "other")}
        took = time.monotonic() - began
        found["flood_s"] = (world.sink.ask("count", label="flood")[0] - flooded) / took
        found |= _urgent(world, accepted)
        found["pss_mb"] = box.memory()


def drain(home: Home, world: World, messages: int, found: dict[str, float]) -> None:
    """Dispatch from rest, of as much as there is; and what a client gets of the box meanwhile."""
    with RunningBox(home) as box:
        found["start_s"] = box.healthy_after()
        found["known_s"] = box.known_after()
        looks.warm_up(box, world)
        world.sink.ask("reset")
        cpu, began = box.cpu(), time.monotonic()
        time.sleep(_WINDOW)
        count, last = world.sink.ask("count", label="waiting")
        found["rest_s"] = count / max(last - began, 0.1)
        found["rest_cpu_ms"] = (box.cpu() - cpu) * 1000 / max(count, 1)
        began = time.monotonic()
        found |= looks.burst(box, world, messages)
        count, last = world.sink.ask("count", label="waiting")
        found["beside_s"] = count / max(last - began, 0.1)
        found["pss_mb"] = box.memory()
        found["peak_mb"] = max(mb for _, mb in box.memories)


def _urgent(world: World, accepted: dict[str, int]) -> dict[str, float]:
    """What became of each kind; what has not arrived after a while is counted as missing."""
    found: dict[str, float] = {}
    for label, count in accepted.items():
        missing = count - looks.arrived_within(world, label, count, _PATIENCE)
        tally = world.sink.ask("stand").get(label, {})
        found |= {f"{label}_{n}_ms": tally[n] for n in ("p50", "p99", "max") if n in tally}
        found[f"{label}_missing"] = missing
    return found
