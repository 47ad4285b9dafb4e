"""Plans: the processes of a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.run import inbound, mta, web, worker
from appliance.run.spools import mta_processes, shards_of
from appliance.run.supervisor import Plan

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.settings import Settings


def plans(home: Home, settings: Settings) -> list[Plan]:
    """Mta (one or several), inbound, worker, web."""
    shards = shards_of(home, mta_processes(settings))
    every = tuple(number for numbers in shards for number in numbers)
    return [
        *(
            Plan(
                name=f"mta-{index}",
                main=mta.main,
                listeners=("submission", "submissions"),
                shards=numbers,
            )
            for index, numbers in enumerate(shards)
        ),
        Plan(name="inbound", main=inbound.main, listeners=("inbound",), shards=every),
        Plan(name="worker", main=worker.main, listeners=(), shards=every),
        Plan(name="web", main=web.main, listeners=("web",), shards=every),
    ]
