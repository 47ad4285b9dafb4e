"""Opening: statistics for as long as somebody asks them, also of a box whose worker has never run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from appliance.core.database import open_engine
from appliance.statistics.service import Statistics
from appliance.statistics.store import prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appliance.core.database import Location


@asynccontextmanager
async def opened(location: Location) -> AsyncIterator[Statistics]:
    """The statistics there."""
    await asyncio.to_thread(prepare, location)
    engine = open_engine(location)
    try:
        yield Statistics(engine)
    finally:
        await engine.dispose()
