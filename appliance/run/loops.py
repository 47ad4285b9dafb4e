"""Loops: what the small processes (inbound, worker, web) have in common around their own work.

Each has a Health, Metrics, endless loops that beat, and a control socket that answers `health` and
`metrics`. Built before anything runs; `close()` ends what was started, in the right order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from appliance.core import memory, tasks
from appliance.core.beat import Health
from appliance.core.metrics import Metrics, render, watch_process
from appliance.core.rpc import RpcServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appliance.run.process import Context

_TRIM_PAUSE: Final = 15.0


class Loops:
    """The loops of one process, and how others see that they turn."""

    def __init__(self, context: Context) -> None:
        self.name = context.name
        self.health = Health(context.name)
        self.metrics = Metrics()
        watch_process(self.metrics.registry)
        self._stop = context.stop
        self._tasks: list[asyncio.Task[None]] = []
        handlers = {"health": self.health.answer, "metrics": self._metrics}
        self._server = RpcServer(context.home.socket(context.name), handlers)

    async def listen(self) -> None:
        """Answer on the control socket; give back memory now and then."""
        await self._server.start()
        self.start("memory", _give_back, pause=_TRIM_PAUSE, limit=20 * _TRIM_PAUSE)

    def start(
        self, name: str, step: Callable[[], Awaitable[bool]], *, pause: float, limit: float
    ) -> None:
        """Turn a loop; it counts as stuck when it misses its beat for `limit` seconds."""
        endless = tasks.run_forever(
            step, name=name, pause=pause, stop=self._stop, on_beat=self.health.watch(name, limit)
        )
        self._tasks.append(tasks.spawn(endless, name=name))

    async def close(self, grace: float = 5.0) -> None:
        """Let the steps that run finish for `grace` seconds once we were told to stop; then end all."""
        if self._tasks and self._stop.is_set():
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close()

    async def _metrics(self, _payload: Any) -> bytes:
        return render(self.metrics.registry)


async def _give_back() -> bool:
    await asyncio.to_thread(memory.give_back)
    return False
