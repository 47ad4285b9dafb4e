"""One fault from begin to end, and what every fault must leave behind: a healthy box that takes mail."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tests.acceptance.torture.faults.kill import Kill
from tests.support.way import until

if TYPE_CHECKING:
    from tests.acceptance.torture.fault import Fault
    from tests.acceptance.torture.stage import Stage

KILLS_WITHIN: Final = 0.4
"""How often, of 1, an mta process dies in the middle of a fault that bears it."""


async def suffer(stage: Stage, fault: Fault) -> None:
    """Let it happen; what it says of itself is kept on the stage."""
    began, killed = time.monotonic(), ""
    try:
        await fault.begin(stage)
        if fault.bears_kills and not stage.is_short and stage.dice.random() < KILLS_WITHIN:
            killed = await _kill_within(stage, fault.seconds)
        else:
            await asyncio.sleep(fault.seconds)
    finally:
        await fault.end(stage)
    await stage.box.healthy()
    before = stage.ledger.acknowledged
    await until(lambda: stage.ledger.acknowledged > before + 3, seconds=90)
    words = await fault.happened(stage) + killed
    stage.happened.setdefault(fault.name, []).append(words)
    print(f"{time.monotonic() - began:6.1f} s  {fault.name}: {words}", flush=True)


async def _kill_within(stage: Stage, seconds: float) -> str:
    kill, at = Kill("mta"), stage.dice.uniform(0.2, 0.8) * seconds
    await asyncio.sleep(at)
    await kill.begin(stage)
    words = await kill.happened(stage)
    stage.happened.setdefault(kill.name, []).append(words)
    await asyncio.sleep(seconds - at)
    return f"; {words} killed within"
