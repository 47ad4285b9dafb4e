"""An application of this process behind a real socket on loopback, for a browser.

async with served(app) as url: ...

Pages are live, as those of a web process are.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from appliance.run.web import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def served(app: Any, listening: socket.socket | None = None) -> AsyncIterator[str]:
    """Where it answers: http://localhost:<port>."""
    sock = listening or socket.create_server(("127.0.0.1", 0))
    stop = asyncio.Event()
    task = asyncio.ensure_future(serve(app, sock, stop, drain_timeout=1))
    pulse = asyncio.ensure_future(_beat(app))
    try:
        yield f"http://localhost:{sock.getsockname()[1]}"
    finally:
        pulse.cancel()
        stop.set()
        await task
        sock.close()


async def _beat(app: Any) -> None:
    """The loop that makes pages live, which a web process turns."""
    while True:
        await app.state.rooms.live.step()
        await asyncio.sleep(0.2)
