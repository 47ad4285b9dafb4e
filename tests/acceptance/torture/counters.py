"""Counters: they begin anew with each process, so they are compared once nobody dies any more.

A few letters are sent; what the counters gained must be what the clients, the receivers and the log saw.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.torture.clients import Client, Manners

if TYPE_CHECKING:
    from tests.acceptance.torture.ledger import Ledger
    from tests.acceptance.torture.tortured_box import TorturedBox

LETTERS: Final = 20
WAIT: Final = 30.0
_QUIET: Final = Manners(is_kept=True, logs_in=False, vanishes=0.0, pause=0.01)
_NAMES: Final = ("pillarbox_accepted_recipients", "pillarbox_delivered")


async def counted(box: TorturedBox) -> dict[str, int]:
    """The counters that matter, of all processes."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{box.running.web}/metrics", timeout=10)).text
    found = dict.fromkeys(_NAMES, 0)
    for family in text_string_to_metric_families(text):
        if family.name in found:
            samples = (s.value for s in family.samples if s.name.endswith("_total"))
            found[family.name] += int(sum(samples))
    return found


async def disagreements(box: TorturedBox, ledger: Ledger) -> list[str]:
    """Words on counters that say something else than everybody saw; to be asked of a quiet box."""
    before, first = await counted(box), ledger.next_number
    await _send(box, ledger)
    sent = [x for number, x in ledger.letters.items() if number >= first and x.acknowledged]
    expected = dict.fromkeys(_NAMES, len(sent))
    end = time.monotonic() + WAIT
    while True:
        now = await counted(box)
        gained = {name: now[name] - before[name] for name in _NAMES}
        if gained == expected and len(sent) == LETTERS:
            return []
        if time.monotonic() > end:
            return [f"{len(sent)} letters were sent, and the counters gained {gained}"]
        await asyncio.sleep(0.5)


async def _send(box: TorturedBox, ledger: Ledger) -> None:
    """So many letters, then stop."""
    stop = asyncio.Event()

    def choose(_: random.Random, number: int) -> tuple[str, ...]:
        if number >= last:
            stop.set()
        return (f"u{number}-0@good.test",)

    last = ledger.next_number + LETTERS - 1
    client = Client(_QUIET, ledger, choose, box.login, random.Random(0))
    await client.run(box.places, stop)
