"""DNS gone: the name server answers nobody. Mail is taken all the same, and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage


class DnsGone(Fault):
    name = "DNS gone"
    bears_kills = True

    def __init__(self, stage: Stage) -> None:
        self.seconds = stage.seconds(2.5, 3, 40)
        self._unheard = self._acknowledged = self._taken = 0

    async def begin(self, stage: Stage) -> None:
        self._unheard = stage.world.dns.unheard
        self._acknowledged = stage.ledger.acknowledged
        stage.world.dns.is_gone = True

    async def end(self, stage: Stage) -> None:
        stage.world.dns.is_gone = False
        self._unheard = stage.world.dns.unheard - self._unheard
        self._taken = stage.ledger.acknowledged - self._acknowledged

    async def happened(self, stage: Stage) -> str:
        assert self._unheard > 0, "nobody asked while DNS was gone"
        assert self._taken > 0, "no mail was taken while DNS was gone"
        return (
            f"{self.seconds:.0f} s, {self._unheard} questions unheard, {self._taken} letters taken"
        )
