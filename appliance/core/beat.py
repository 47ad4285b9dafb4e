"""Beat: how a process knows that it is well, and how the others ask.

Each process has one Health. Components register checks, each a plain function that answers at once
(ok, words); loops take a beat from `watch()` and count as stuck when they miss it for too long. The
process serves `report()` under the method "health" of its control socket, so the answer is itself the
proof that its event loop turns; `ask()` puts the answers of all processes together.

A check that crashes is a check that failed; a process that does not answer is a process that is not well.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from appliance.core import clock, tasks
from appliance.core.errors import PillarboxError
from appliance.core.rpc import RpcClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Health:
    """The checks of one process."""

    def __init__(self, process_name: str) -> None:
        self._process = process_name
        self._started_at = clock.now_ms()
        self._checks: dict[str, Callable[[], tuple[bool, str]]] = {}

    def register(self, name: str, check: Callable[[], tuple[bool, str]]) -> None:
        """Add a check; it must answer without waiting. A name given twice is replaced."""
        self._checks[name] = check

    def watch(
        self, name: str, limit: float, now: Callable[[], float] = clock.monotonic
    ) -> Callable[[], None]:
        """A beat for a loop (`run_forever(on_beat=...)`) that must come every `limit` seconds."""
        last = now()

        def beat() -> None:
            nonlocal last
            last = now()

        def check() -> tuple[bool, str]:
            age = now() - last
            return age <= limit, f"last turn {age:.1f} s ago, at most {limit:,g} s allowed"

        self.register(name, check)
        return beat

    def report(self) -> dict[str, Any]:
        """What the process says of itself."""
        checks = {name: self._result(name, check) for name, check in self._checks.items()}
        return {
            "process": self._process,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "beat_at": clock.now_ms(),
            "ok": all(result["ok"] for result in checks.values()),
            "checks": checks,
        }

    def _result(self, name: str, check: Callable[[], tuple[bool, str]]) -> dict[str, Any]:
        answer = tasks.guard_call(check, name=f"health check {name}")
        ok, words = answer if answer is not None else (False, "the check failed; see the log")
        return {"ok": ok, "words": words}

    async def answer(self, _payload: object) -> dict[str, Any]:
        """The handler of the method "health"."""
        return self.report()


async def ask(sockets: Mapping[str, Path], timeout: float) -> dict[str, dict[str, Any]]:
    """The report of each process by its name; one that does not answer in time is not ok."""
    answers = await asyncio.gather(
        *(_ask_one(name, path, timeout) for name, path in sockets.items())
    )
    return dict(zip(sockets, answers, strict=True))


async def _ask_one(name: str, path: Path, timeout: float) -> dict[str, Any]:
    client = RpcClient(path)
    try:
        report: dict[str, Any] = await client.call("health", None, timeout)
    except PillarboxError as error:
        return {"process": name, "ok": False, "words": str(error), "checks": {}}
    finally:
        await client.close()
    return report
