"""Forgetting: sessions, links, ceremonies and counters that are over go, at the worker's pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.database import transaction
from appliance.people import links
from appliance.people.ceremonies import Ceremonies
from appliance.people.guessing import Guessing
from appliance.people.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.people.model import Options


async def tidy(
    engine: AsyncEngine,
    keys: MasterKeys,
    options: Options,
    now: Callable[[], int] = clock.now_ms,
) -> None:
    """Forget sessions, links, ceremonies and counters that are over."""
    await Sessions(engine, keys, options, now).forget()
    await Ceremonies(engine, now).forget()
    await Guessing(engine, now).forget()
    async with transaction(engine) as connection:
        await links.forget(connection, now())
