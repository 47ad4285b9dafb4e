"""Rebuild: what it takes to make the directory anew after a change, and what it takes from everybody else.

The reader of the mta, on a control.db with so many domains, in this process. A ticker asks every
millisecond for a turn of the event loop: how late it comes is how long deliveries and sessions would
have stood still. The CPU that the loop's thread took meanwhile says the same on a machine that is busy
with other things.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.domains import Domains
from appliance.run.directory import DirectoryReader, box_names, queue_life_ms
from appliance.tenancy import Tenants
from control.people import SCOPE, domain_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from appliance.core.home import Home
    from appliance.core.settings import Settings

_TICK: Final = 0.001


@dataclass(slots=True)
class Lateness:
    """How late the loop was, at its worst, and what its longest turn took of CPU, in ms."""

    worst: float = 0.0
    cpu: float = 0.0


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Lateness]:
    """Watch the loop while the block runs."""
    found, ends = Lateness(), False

    async def tick() -> None:
        while not ends:
            began, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TICK)
            found.cpu = max(found.cpu, (time.thread_time() - used) * 1000)
            found.worst = max(found.worst, (time.perf_counter() - began - _TICK) * 1000)

    task = asyncio.create_task(tick())
    await asyncio.sleep(2 * _TICK)
    found.worst = found.cpu = 0.0
    try:
        yield found
    finally:
        ends = True
        await task


async def measure(home: Home, settings: Settings, rounds: int) -> dict[str, Any]:
    """The first load, and the rebuild after each kind of change: ms, and the loop's lateness."""
    engine = open_engine(home.control_location(settings))
    keys = MasterKeys.load(home.keys_file)
    life = queue_life_ms(settings)
    domains = Domains(engine, keys, box_names(settings), queue_life=life)
    tenants, credentials = Tenants(engine), Credentials(engine, keys)
    try:
        reader = DirectoryReader(engine, keys, settings)
        first = (await credentials.list(SCOPE))[0]
        tenant = await tenants.get(SCOPE, "tenant-0000")
        name, owner = domain_name(0), tenant.id

        async def rotate() -> None:
            await domains.rotate(SCOPE, name, tenant_id=owner)
            await domains.activate(SCOPE, name, tenant_id=owner)

        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "domain": lambda: domains.set_default(SCOPE, name, tenant_id=owner),
            "key": rotate,
            "credential": lambda: credentials.set_policy(SCOPE, first.id, first.policy),
            "tenant": lambda: tenants.set_limits(SCOPE, tenant.name, weight=2),
        }
        found = {"first load": await _timed([reader.load])}
        for what, change in changes.items():
            found[what] = await _timed([reader.poll] * rounds, before=change)
        found["nothing"] = await _timed([reader.poll] * rounds)
    finally:
        await engine.dispose()
    return found


async def _timed(
    polls: list[Callable[[], Awaitable[object]]],
    before: Callable[[], Awaitable[object]] | None = None,
) -> dict[str, float]:
    took, used, late, turns = [], [], [], []
    for poll in polls:
        if before is not None:
            await before()
        async with watched() as lateness:
            began, cpu = time.perf_counter(), time.process_time()
            await poll()
            took.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - cpu) * 1000)
        late.append(lateness.worst)
        turns.append(lateness.cpu)
    return {
        "ms": round(statistics.median(took), 1),
        "cpu_ms": round(statistics.median(used), 1),
        "turn_cpu_ms": round(statistics.median(turns), 1),
        "loop_late_ms": round(statistics.median(late), 1),
        "loop_late_max_ms": round(max(late), 1),
    }
