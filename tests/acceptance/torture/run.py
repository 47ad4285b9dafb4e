"""A run: clients send and faults come until time is up; then all is put right, and the ledger is judged."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.lab.script import Action
from mta.scheduling.results import OUTSTANDING
from tests.acceptance.torture.clients import MANNERS, Client, gather
from tests.acceptance.torture.counters import disagreements
from tests.acceptance.torture.endings import endings, set_aside, waiting
from tests.acceptance.torture.ledger import End, Ledger, Verdict
from tests.acceptance.torture.order import each, order
from tests.acceptance.torture.shim import NO_COMPILER, Shim
from tests.acceptance.torture.stage import Stage
from tests.acceptance.torture.suffer import suffer
from tests.acceptance.torture.tortured_box import TorturedBox
from tests.acceptance.torture.world import ENDS, World, choose

if TYPE_CHECKING:
    from pathlib import Path

LIFE: Final = 8.0  # seconds; bulk mail that still waits then was taken by a clock that was ahead
QUIET: Final = 120.0
"""Seconds in which everything must have ended once nothing goes wrong any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    seconds: float
    happened: dict[str, list[str]]
    verdict: Verdict
    ends: list[str]  # of processes
    answers: dict[str, int]  # to clients
    misdeeds: dict[str, int]  # of receivers


class Run:
    """One run, by seed and duration; 0 seconds: every fault once, shortened."""

    def __init__(self, folder: Path, seed: int, seconds: float, only: str = "") -> None:
        self._folder, self._seed, self._seconds = folder, seed, seconds
        self._only = only
        self._dice = random.Random(seed)
        self._ledger = Ledger(ENDS, OUTSTANDING)
        self._world = World(self._ledger, self._dice)
        self._box = TorturedBox(folder, self._ledger)

    async def go(self) -> Outcome:
        began = time.monotonic()
        async with self._world.running():
            try:
                await self._box.make(self._world)
                self._box.shim = Shim.build(self._folder, self._box.home.path)
                stage = self._stage()
                await self._box.start()
                await self._torture(stage, began)
                ends, untrue = await self._settle()
            except Exception:
                print(self._box.last_words())
                raise
            finally:
                self._box.kill()
        verdict = self._ledger.judge(ends)
        verdict.untrue += untrue
        return Outcome(
            seed=self._seed,
            seconds=time.monotonic() - began,
            happened=stage.happened,
            verdict=verdict,
            ends=self._box.ends,
            answers=dict(self._ledger.answers.most_common()),
            misdeeds=dict(self._world.misdeeds.most_common()),
        )

    def _stage(self) -> Stage:
        if self._box.shim is None:
            print(NO_COMPILER)
        return Stage(
            box=self._box,
            world=self._world,
            ledger=self._ledger,
            dice=self._dice,
            is_short=not self._seconds,
        )

    async def _torture(self, stage: Stage, began: float) -> None:
        stop = asyncio.Event()
        if (
            not stage.is_short
        ):  # it takes a while until a receiver is given up that says nothing more
            self._world.silent.append(Action.HANG)
        clients = [
            Client(manners, self._ledger, choose, self._box.login, random.Random(self._seed + n))
            for n, manners in enumerate(MANNERS if stage.is_short else MANNERS * 2)
        ]
        tasks = [asyncio.create_task(client.run(self._box.places, stop)) for client in clients]
        try:
            makers = each(self._only, has_shim=self._box.shim is not None)
            for make in order(makers, self._dice, is_short=stage.is_short):
                if not stage.is_short and time.monotonic() - began > self._seconds:
                    break
                await suffer(stage, make(stage))
                await asyncio.sleep(self._dice.uniform(0, 0.5 if stage.is_short else 3))
        finally:
            stop.set()
            await gather(tasks)

    async def _settle(self) -> tuple[dict[tuple[int, str], End], list[str]]:
        """Nothing goes wrong any more: everything ends, the box stops, and its store is sound."""
        self._world.calm()
        await self._all_ended()
        untrue = await disagreements(self._box, self._ledger)
        await self._all_ended()
        assert await self._box.stop() == 0
        checked = await self._box.running.cli("spool", "check")
        assert checked["sound"], checked
        return endings(self._box.home), untrue + set_aside(self._box.home)

    async def _all_ended(self) -> None:
        """Wait for it, but not for ever; the ledger tells what has not."""
        began, cancel = time.monotonic(), ("queue", "cancel", "--yes", "--domain")
        while waiting(self._box.home) and time.monotonic() < began + QUIET:
            await self._box.running.cli(*cancel, "never.test")
            if time.monotonic() > began + LIFE:  # a clock that went back lets it live for hours
                await self._box.running.cli(*cancel, "dead.test")
            await asyncio.sleep(1)
