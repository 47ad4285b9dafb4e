"""Box: one that runs as in production, with a crowd of tenants in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.base import BenchError
from relay.load import idle_share, measure
from relay.ours import Pillarbox, make_home

from control.people import fill

if TYPE_CHECKING:
    from pathlib import Path

    from relay.clients import Load

    from appliance.lab.dns_server import Zone
    from control.people import Crowd, Person

_LIMIT = 120.0
_WARM_UPS = 4
"""A connection comes to one of two processes, and each must have met a credential, its key and its limit once:
after four rounds all but one in eight have been to both."""


class Box(Pillarbox):
    """Everybody in it hands in over STARTTLS with AUTH."""

    def __init__(self, work: Path, crowd: Crowd) -> None:
        work.mkdir()
        super().__init__(work)
        self.name, self.crowd = str(crowd), crowd
        self.idle = 0.0

    async def make(self) -> tuple[Zone, tuple[Person, ...]]:
        """The home with the crowd."""
        settings = self.settings()
        zone = await make_home(self.home, settings)
        return zone, tuple(await fill(self.home, settings, self.crowd))

    def warm_up(self, load: Load) -> None:
        """Runs that nobody looks at, and what it takes when idle."""
        for _ in range(_WARM_UPS):
            run = measure(self, load, limit=_LIMIT, idle=0.0)
            if run.error:
                raise BenchError(f"{self.name}: {run.error}")
        self.idle = idle_share(self)
