"""Plans: the processes of a box, and what they import.

The parent imports what most of them need, once for all; the web imports what it needs alone for itself. In the
parent that would be in the way of the others: they write beside it, and a page that two processes wrote to is
there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.run import inbound, mta, worker
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
                module=mta.__name__,
                listeners=("submission", "submissions"),
                shards=numbers,
            )
            for index, numbers in enumerate(shards)
        ),
        Plan(name="inbound", module=inbound.__name__, listeners=("inbound",), shards=every),
        Plan(name="worker", module=worker.__name__, listeners=(), shards=every),
        Plan(name="web", module="appliance.run.web", listeners=("web",), shards=every),
    ]
