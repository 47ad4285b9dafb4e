"""Leases: portions that are asked for at the same time are written in one transaction.

At the beginning of an hour everybody who sends needs one. One by one each costs a transaction and a flush,
1.2 ms of CPU, and whoever hands mail in waits for those before it; together they cost little more than one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core.errors import StoreError
from appliance.limits.rules import Ask

if TYPE_CHECKING:
    from appliance.limits.service import Budgets

AT_ONCE: Final = 500
"""Leases of one transaction: what others wait for stays a few milliseconds."""


class Leases:
    """Who asks while others are being written has its own written with all that came meanwhile."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._asked: list[tuple[Ask, asyncio.Future[int]]] = []
        self._writing = asyncio.Lock()

    async def lease(self, key: str, window: int, amount: int, limit: int) -> int:
        """As `Budgets.lease`."""
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.append((Ask(key, window, amount, limit), granted))
        try:
            while not granted.done():
                async with self._writing:
                    if not granted.done():
                        await self._write()
            return granted.result()
        finally:
            granted.cancel()  # whoever went away is leased nothing any more

    async def _write(self) -> None:
        """Those who asked first. One who is cut off here leaves the others' to the next."""
        waiting = [one for one in self._asked if not one[1].done()]
        batch, self._asked = waiting[:AT_ONCE], waiting[AT_ONCE:]
        try:
            amounts = await self._budgets.lease_each([ask for ask, _ in batch])
            for (_, granted), amount in zip(batch, amounts, strict=True):
                if not granted.done():
                    granted.set_result(amount)
        except StoreError as error:
            for _, granted in batch:
                if not granted.done():
                    granted.set_exception(error)
        finally:
            self._asked[:0] = [one for one in batch if not one[1].done()]
