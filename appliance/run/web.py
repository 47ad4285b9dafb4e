"""The web process: the HTTP listener and what it asks of the other processes.

uvicorn serves the application on the socket that the supervisor opened, and ends when the process is
told to stop: requests that run are finished within the drain limit. A dead process costs a request no
more than ASK_SECONDS: all are asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import uvicorn
import uvicorn.lifespan.off
import uvicorn.protocols.http.h11_impl  # by name, so that the parent has it before it forks

from admin_ui.api.guard import READS, SENDS, WRITES
from admin_ui.api.rates import Rate, Rates
from admin_ui.app import create_app
from admin_ui.console.live import MOST as MOST_STREAMS
from appliance.core import beat, clock, tasks
from appliance.core.control import generations
from appliance.core.database import open_engine, reading
from appliance.core.errors import PillarboxError
from appliance.core.metrics import merge, render
from appliance.core.rpc import RpcClient
from appliance.run.loops import Loops
from appliance.run.web_rooms import WebRooms

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from appliance.core.settings import Api
    from appliance.run.process import Context

T = TypeVar("T")
log = logging.getLogger(__name__)

ASK_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 1.0
"""Answers are shared for so long: strangers who ask all the time must not keep the box busy."""

_DATABASE_PAUSE: Final = 5.0
_MAX_REQUESTS: Final = 200  # under way at once, beside the live streams; then 503
_KEEP_ALIVE: Final = 15
_UP: Final = b"# HELP pillarbox_up Whether the process answered.\n# TYPE pillarbox_up gauge\npillarbox_up %d\n"


class BoxProcesses:
    """The processes of the box over their control sockets (admin_ui.processes.Processes)."""

    def __init__(self, sockets: Mapping[str, Path], own: Loops | None = None) -> None:
        """`own`: this process, which need not be asked over a socket; it has no place in `sockets`."""
        self._sockets, self._own = dict(sockets), own
        self._health = _Shared[dict[str, dict[str, Any]]]()
        self._metrics = _Shared[bytes]()

    async def health(self) -> dict[str, dict[str, Any]]:
        """What each process says of itself."""
        return await self._health.get(self._ask_health)

    async def metrics(self) -> bytes:
        """One exposition of all of them; a silent one shows as pillarbox_up 0."""
        return await self._metrics.get(self._ask_metrics)

    async def _ask_health(self) -> dict[str, dict[str, Any]]:
        reports = await beat.ask(self._sockets, ASK_SECONDS)
        if self._own is not None:
            own = self._own.health.report()
            reports[own["process"]] = own
        return reports

    async def _ask_metrics(self) -> bytes:
        names = list(self._sockets)
        answers = await asyncio.gather(*(_exposition(self._sockets[name]) for name in names))
        found = dict(zip(names, answers, strict=True))
        if self._own is not None:
            found[self._own.name] = render(self._own.metrics.registry) + _UP % 1
        return merge(found)


async def main(context: Context) -> None:
    """Run until told to stop, then finish the requests that run."""
    settings = context.settings
    loops = Loops(context)
    engine = open_engine(context.home.control_location(settings))

    async def look_at_database() -> bool:
        async with reading(engine) as connection:
            await generations(connection)
        return False

    others = {name: context.home.socket(name) for name in context.processes if name != context.name}
    processes = BoxProcesses(others, loops)
    behind = WebRooms(context, engine, processes.health)
    rates = rates_of(settings.api)
    app = create_app(
        processes,
        behind.rooms,
        token=settings.metrics.token,
        rates=rates,
        zone=behind.rooms.files.zone,
    )
    try:
        await loops.listen()
        await behind.start(loops)
        loops.start("database", look_at_database, pause=_DATABASE_PAUSE, limit=30)
        log.info("%s is ready (pid %d)", context.name, os.getpid())
        if "web" in context.sockets:
            await serve(
                app,
                context.sockets["web"],
                context.stop,
                drain_timeout=settings.processes.drain_timeout,
                proxies=settings.web.proxies,
            )
        await context.stop.wait()
    finally:
        await loops.close()
        await behind.close()
        await engine.dispose()


def rates_of(api: Api) -> Rates:
    """How often somebody may ask, as configured."""
    return Rates(
        configured=(
            Rate(api.reads_per_second, api.reads_burst, READS.name),
            Rate(api.writes_per_second, api.writes_burst, WRITES.name),
            Rate(api.sends_per_second, api.sends_burst, SENDS.name),
        )
    )


async def serve(
    app: Callable[[Any, Any, Any], Awaitable[None]],
    sock: socket.socket,
    stop: asyncio.Event,
    *,
    drain_timeout: float,
    proxies: Sequence[str] = (),
) -> None:
    """Serve HTTP on a listening socket until `stop` is set, and a little longer for what runs."""
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",  # the parser that bounds headers, whatever else is installed
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(proxies),  # the client is who a known proxy says; admin_ui/access.py
            forwarded_allow_ips=list(proxies),  # lets nobody inside that came by one
            limit_concurrency=_MAX_REQUESTS + MOST_STREAMS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=max(1, int(drain_timeout)),
        )
    )

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = tasks.spawn(end(), name="end of the web server")
    try:
        await server.serve(sockets=[sock])
    finally:
        ending.cancel()


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: `stop` speaks for the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals of the process alone."""
        yield


class _Shared(Generic[T]):
    """One answer for all who ask within FRESH_SECONDS, and one question at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._answer: T | None = None
        self._asked_at = 0.0

    async def get(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The last answer, or a new one."""
        async with self._lock:
            if self._answer is None or clock.monotonic() - self._asked_at > FRESH_SECONDS:
                self._answer = await ask()
                self._asked_at = clock.monotonic()
            return self._answer


async def _exposition(path: Path) -> bytes:
    client = RpcClient(path)
    try:
        answer: bytes = await client.call("metrics", None, ASK_SECONDS)
    except PillarboxError:
        return _UP % 0
    finally:
        await client.close()
    return answer + _UP % 1
