"""A clock that steps by hours, forwards or back, and some time later the other way.

Mail that was tried before a step back, or whose site was left alone for a while, must not wait for those
hours. What was taken while the clock was ahead does live that much longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.torture.fault import Fault

if TYPE_CHECKING:
    from tests.acceptance.torture.stage import Stage

HOUR_NS = 3600 * 10**9


class ClockStep(Fault):
    bears_kills = True

    def __init__(self, stage: Stage, *, is_forward: bool) -> None:
        self.name = "clock steps forwards" if is_forward else "clock steps back"
        self.seconds = stage.seconds(2, 2, 20)
        self._hours = stage.dice.uniform(0.1, 5) * (1 if is_forward else -1)
        self._looks = self._taken = 0

    async def begin(self, stage: Stage) -> None:
        self._looks = stage.shim.control.shifted_looks
        self._taken = stage.ledger.acknowledged
        stage.shim.control.clock_shift_ns = int(self._hours * HOUR_NS)

    async def end(self, stage: Stage) -> None:
        stage.shim.control.clock_shift_ns = 0
        self._looks = stage.shim.control.shifted_looks - self._looks
        self._taken = stage.ledger.acknowledged - self._taken

    async def happened(self, stage: Stage) -> str:
        assert self._looks > 0, "nobody looked at the clock"
        assert self._taken > 0, "no mail was taken meanwhile"
        return f"by {self._hours:+.1f} h for {self.seconds:.0f} s, {self._taken} letters taken"
