"""The stage: what every fault is given."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.way import until

if TYPE_CHECKING:
    from tests.acceptance.torture.ledger import Ledger
    from tests.acceptance.torture.shim import Shim
    from tests.acceptance.torture.tortured_box import TorturedBox
    from tests.acceptance.torture.world import World


@dataclass
class Stage:
    """The box, the world and the dice of a run."""

    box: TorturedBox
    world: World
    ledger: Ledger
    dice: random.Random
    is_short: bool  # everything once, and quickly
    happened: dict[str, list[str]] = field(default_factory=dict)

    @property
    def shim(self) -> Shim:
        """For the faults that need it; they do not come without one."""
        assert self.box.shim is not None
        return self.box.shim

    def seconds(self, short: float, shortest: float, longest: float) -> float:
        """How long a fault lasts."""
        return short if self.is_short else self.dice.uniform(shortest, longest)

    def mta(self) -> str:
        """Any mta process, by name."""
        return self.dice.choice(sorted(n for n in self.box.pids() if n.startswith("mta-")))

    async def mta_pid(self) -> tuple[str, int]:
        """One that lives; all may be waiting for their restart."""
        await until(lambda: any(n.startswith("mta-") for n in self.box.pids()), seconds=60)
        name = self.mta()
        return name, self.box.pids()[name]
