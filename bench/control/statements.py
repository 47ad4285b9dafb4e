"""Statements: what the mta asks control.db for while messages come and go, by SQLAlchemy's own hook.

The mta of a box with a crowd runs in this process; a generator in another logs in as everybody in turn
and sends. Three stretches of time of the same length are compared:

    first     everybody's first messages: portions of limits are leased, once an hour or a fiftieth
    steady    the same people again
    idle      nobody: what the loops ask for by the clock

What is steady less what is idle, by the number of messages, is what a message costs. Logins are noted
once a second for all, however many there were: such statements count, and are named.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from guard.mta import running_mta
from msgspec.structs import replace
from relay.base import BenchError, Door
from relay.clients import Kind, Load, begin, generator
from relay.ours import Pillarbox, make_home
from sqlalchemy import event

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from control.people import fill

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Settings
    from appliance.run.mta import Mta
    from control.people import Crowd

_EACH: Final = 5
_SESSIONS: Final = 20
_PATIENCE: Final = 300.0


class Ledger:
    """Statements of one engine, by what they do and to which table."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def watch(self, engine: AsyncEngine) -> None:
        """Hear of each of its statements."""
        event.listen(engine.sync_engine, "before_cursor_execute", self.note)

    def note(self, *facts: Any) -> None:
        """As SQLAlchemy calls it: connection, cursor, statement, ..."""
        self.counts[_named(facts[2])] += 1


def _named(statement: str) -> str:
    words = statement.replace('"', " ").split()
    for before in ("FROM", "INTO", "UPDATE"):
        if before in words[:-1]:
            return f"{words[0]} {words[words.index(before) + 1]}"
    return " ".join(words[:2])


async def measure(work: Path, crowd: Crowd, messages: int) -> dict[str, Any]:
    """Counts of the three stretches, and what that is a message."""
    box = Pillarbox(work)
    home = box.home
    async with LabDns({}) as dns, Receiver(Script(keep=False)) as receiver:
        settings = _settings(box.settings(), dns.address, receiver.port)
        dns.zone = LabDns(await make_home(home, settings)).zone
        people = tuple(await fill(home, settings, crowd))
        ledger = Ledger()
        async with running_mta(box.home, settings, ledger.watch) as (mta, port):
            box.door = Door(port=port, people=people)
            load = Load(
                size=1024,
                sessions=_SESSIONS,
                kept=False,
                messages=messages,
                kind=Kind.TLS,
                each=_EACH,
            )
            first, _ = await _sent(box, load, mta, ledger)
            steady, seconds = await _sent(box, load, mta, ledger)
            ledger.counts.clear()
            await asyncio.sleep(seconds)
            idle = dict(ledger.counts)
    return {
        "crowd": dataclasses.asdict(crowd),
        "messages": messages,
        "seconds": round(seconds, 2),
        "first": first,
        "steady": steady,
        "idle": idle,
        "first_per_message": round((sum(first.values()) - sum(idle.values())) / messages, 4),
        "per_message": round((sum(steady.values()) - sum(idle.values())) / messages, 4),
        "more_than_idle": {
            name: count - idle.get(name, 0)
            for name, count in steady.items()
            if count > 1.5 * idle.get(name, 0) + 2
        },
    }


async def _sent(
    box: Pillarbox, load: Load, mta: Mta, ledger: Ledger
) -> tuple[dict[str, int], float]:
    """Send the load and wait until every outcome is durable: what was asked meanwhile."""
    client = await asyncio.to_thread(generator, box, load)
    ledger.counts.clear()
    started = time.monotonic()
    begin(box, load, client)
    await asyncio.to_thread(client.wait, _PATIENCE)
    assert client.stderr is not None
    assert client.stdout is not None
    words = client.stderr.read().decode("utf-8", "replace")
    client.stderr.close()
    client.stdout.close()
    if client.returncode:
        raise BenchError(f"the generator: {words}")
    while any(delivery.dispatcher.in_memory for delivery in mta.deliveries):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return dict(ledger.counts), time.monotonic() - started


def _settings(settings: Settings, nameserver: str, receives_at: int) -> Settings:
    return replace(
        settings,
        dns=replace(settings.dns, nameservers=(nameserver,)),
        delivery=replace(settings.delivery, remote_port=receives_at),
    )
