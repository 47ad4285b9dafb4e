"""An mta in this process, wired as in production, so that what it does can be counted."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.run.current import Current
from appliance.run.directory import DirectoryReader
from appliance.run.mta import Mta
from appliance.run.process import Context
from appliance.run.sockets import open_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.home import Home
    from appliance.core.settings import Settings


@asynccontextmanager
async def running_mta(
    home: Home, settings: Settings, watch: Callable[[AsyncEngine], None] = lambda _engine: None
) -> AsyncIterator[tuple[Mta, int]]:
    """The mta of a home, and its submission port; `watch` is given the engine of control.db first."""
    sockets = open_all(settings)
    context = Context(
        name="mta-0",
        home=home,
        settings=settings,
        sockets=sockets,
        shards=(0,),
        processes=("mta-0",),
        inbound_place=("127.0.0.1", 25),
        stop=asyncio.Event(),
    )
    keys, engine = MasterKeys.load(home.keys_file), open_engine(home.control_db)
    watch(engine)
    mta = Mta(context, await Current.load(DirectoryReader(engine, keys, settings)), keys, engine)
    try:
        await mta.start()
        yield mta, sockets["submission"].getsockname()[1]
        context.stop.set()
        await mta.drain()
    finally:
        await mta.close()
        for sock in sockets.values():
            sock.close()
