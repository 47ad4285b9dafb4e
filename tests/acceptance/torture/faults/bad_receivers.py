"""Receivers at their worst: half of all answers are trouble, and each message is taken without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class BadReceivers(Fault):
    name = "receivers at their worst"
    bears_kills = True

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(2.5, 3, 20)
        self._misdeeds = 0

    async def begin(self, stage: Stage) -> None:
        self._misdeeds = stage.world.misdeeds.total()
        self._vanished = stage.world.misdeeds["vanished after the dot"]
        stage.world.trouble, stage.world.vanishing = 0.5, 1.0

    async def end(self, stage: Stage) -> None:
        stage.world.usual()
        self._misdeeds = stage.world.misdeeds.total() - self._misdeeds
        self._vanished = stage.world.misdeeds["vanished after the dot"] - self._vanished

    async def happened(self, stage: Stage) -> str:
        assert self._vanished > 0, "nobody vanished after the dot"
        return f"{self.seconds:.0f} s, {self._misdeeds} misdeeds, {self._vanished} vanished"
