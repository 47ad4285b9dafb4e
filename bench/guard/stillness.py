"""Stillness: the box does nothing by itself while messages are counted, so that no clock has a say in the counts.

Its loops that come round every second or so are held at their rest, and an outcome waits for the next message's
commit for as long as a busy machine may take to bring it, instead of 10 ms.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from appliance.core import tasks
from mta.spool import committer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMPANY: Final = 3.0
_BY_ITSELF: Final = 0.5  # seconds of rest from which on a loop is not part of a message's way
_SETTLES: Final = 1.5  # in which every loop has come to its rest


class Stillness:
    """One for a process; made before anything starts."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._rest = tasks._rest  # noqa: SLF001 - the one place that all loops go through
        tasks._rest = self._held  # type: ignore[assignment]  # noqa: SLF001
        committer.COMPANY_SECONDS = COMPANY

    async def _held(self, stop: asyncio.Event, seconds: float) -> None:
        await self._rest(stop, seconds)
        if seconds >= _BY_ITSELF:
            await self._open.wait()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Nothing comes round meanwhile."""
        self._open.clear()
        await asyncio.sleep(_SETTLES)
        try:
            yield
        finally:
            self._open.set()
