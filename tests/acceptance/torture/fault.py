"""Fault: something that goes wrong for a while. Each is made anew each time it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class Fault:
    """What `suffer` calls, in this order."""

    name = ""
    seconds = 0.0  # how long it lasts; those with 0 are over when `begin` returns
    bears_kills = False  # whether a process may die in the middle of it too

    async def begin(self, stage: Stage) -> None:
        """Let it go wrong."""
        raise NotImplementedError

    async def end(self, stage: Stage) -> None:
        """Put it right; called once, also when `begin` failed."""

    async def happened(self, stage: Stage) -> str:
        """Words on what it did. Raises AssertionError when it did nothing, or what it never may."""
        raise NotImplementedError
