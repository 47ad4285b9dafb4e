"""The box under torture: started, killed, started again; every end of a process is noted in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from appliance.credentials import Policy
from tests.support.box import PILLARBOX, ROOT, RunningBox, make_home
from tests.support.way import until

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.credentials import IssuedLogin
    from tests.acceptance.torture.ledger import Ledger
    from tests.acceptance.torture.shim import Shim
    from tests.acceptance.torture.world import World

PROCESSES: Final = 2
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "spool": {"processes": PROCESSES, "min_free_bytes": 1 << 20},
    "submission": {"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
    "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
    "queue": {
        "retry": [0.5, 1.0, 2.0],
        "jitter": 0.1,
        "lifetime": 4 * 86_400.0,
        "bulk_lifetime": 6.0,
    },
    "processes": {"drain_timeout": 2.0},
    "delivery": {
        "command_timeout": 10.0,
        "greeting_timeout": 10.0,
        "data_timeout": 40.0,
        "dot_timeout": 45.0,
    },
}
LIMITED: Final = Policy(recipients_per_hour=10_000_000, recipients_per_day=100_000_000)
"""Never reached, and yet every process leases its portion of it, also while the clock steps."""

_ENDED: Final = re.compile(
    r"(mta-\d+|inbound|worker|web) (was killed by signal \d+|ended with code \d+)"
)


class TorturedBox:
    """One home, and whatever runs in it."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._folder, self._ledger = folder, ledger
        self.log = folder / "box.log"
        self.shim: Shim | None = None
        self.starts = 0
        self.ends: list[str] = []  # "mta-0 ended with code 70"
        self._running: RunningBox | None = None
        self._read = 0
        self._watching: asyncio.Task[None] | None = None

    async def make(self, world: World) -> None:
        self.home, self.login, self._tenant = await make_home(
            self._folder / "home", world.dns, world.port, policy=LIMITED, **SETTINGS
        )
        self._dns = world.dns

    home: Home
    login: IssuedLogin

    @property
    def running(self) -> RunningBox:
        assert self._running is not None, "the box was never started"
        return self._running

    def places(self) -> dict[str, tuple[str, int]]:
        return self.running.places

    def pids(self) -> dict[str, int]:
        """Of all that live, the supervisor among them."""
        found = self.running.pids()
        if self.running.process.returncode is None:
            found["supervisor"] = self.running.process.pid
        return found

    # -- life ----------------------------------------------------------------

    async def start(self, seconds: float = 90) -> None:
        """Until it is healthy; tried again while the old one's processes still hold the shards."""
        await until(self._try, seconds)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def _try(self) -> bool:
        (self.home.run_dir / "listeners.json").unlink(missing_ok=True)
        self._running = await self._serve()
        self.starts += 1
        while self.running.process.returncode is None:
            with contextlib.suppress(OSError, ValueError):
                file = self.home.run_dir / "listeners.json"
                found = json.loads(file.read_bytes())
                self.running.places = {name: (str(p[0]), int(p[1])) for name, p in found.items()}
                if await self.running.healthy():
                    return True
            await asyncio.sleep(0.1)
        return False

    async def _serve(self) -> RunningBox:
        wrap = self.shim.wrap if self.shim else ()
        with self.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *wrap, *PILLARBOX, "--home", str(self.home.path), "serve",
                cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        return RunningBox(self.home, process, self.login, self._dns, self._tenant, self.log)

    async def healthy(self, seconds: float = 60) -> None:
        """Wait until /health says so, twice: a process may be about to end."""
        for _ in range(2):
            try:
                await until(self.running.healthy, seconds=seconds)
            except TimeoutError:
                raise AssertionError(
                    f"the box does not get well: {await self._ailments()}"
                ) from None
            await asyncio.sleep(0.3)

    async def _ailments(self) -> str:
        """What /health says, and the last complaints of the log."""
        try:
            async with httpx.AsyncClient() as client:
                said = (await client.get(f"{self.running.web}/health", timeout=30)).text
        except httpx.HTTPError as error:
            said = f"/health does not answer: {error!r}"
        lines = self.log.read_text(errors="replace").splitlines()
        bad = [line for line in lines if '"level":"error"' in line or '"level":"critical"' in line]
        return "\n".join([said, *bad[-20:]])

    async def gone(self, pids: set[int], seconds: float = 60) -> None:
        await until(lambda: not any(map(is_alive, pids)), seconds=seconds)

    def all_died(self, why: str) -> None:
        """The whole box went: no supervisor tells of it."""
        for number in range(PROCESSES):
            self.died(f"mta-{number}", why)

    def died(self, name: str, why: str) -> None:
        self.ends.append(f"{name} {why}")
        number = name.removeprefix("mta-")
        shards = (int(number),) if number.isdecimal() else ()
        self._ledger.died(name, time.monotonic(), shards)

    async def stop(self) -> int:
        """A clean end, which must come in time."""
        code = await self.running.stop()
        if self._watching is not None:
            self._watching.cancel()
        return code

    def kill(self) -> None:
        """At the end of a test that failed: nothing may stay."""
        if self._running is None:
            return
        for pid in self.pids().values():
            for number in (signal.SIGCONT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def last_words(self) -> str:
        """The end of the box's log, for a test that failed."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    # -- watching ------------------------------------------------------------

    async def _watch(self) -> None:
        """The supervisor says who ended."""
        while True:
            with self.log.open("rb") as log:
                log.seek(self._read)
                lines = log.read().rpartition(b"\n")
            self._read += len(lines[0]) + len(lines[1])
            for line in lines[0].splitlines():
                if found := _ENDED.search(line.decode("utf-8", "replace")):
                    self.died(found[1], found[2])
            await asyncio.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
