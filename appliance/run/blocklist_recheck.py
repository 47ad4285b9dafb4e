"""Blocklist check as a job: all addresses of the box looked up in all lists now, because somebody asks.

One step, which takes as long as the slowest list. What it finds is acted on as the worker's own look is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.blocklists import ListState, Verdict
from appliance.jobs import Order, Step

if TYPE_CHECKING:
    from appliance.blocklists import Survey
    from appliance.jobs import Job
    from appliance.run.blocklist_checks import BlocklistChecks

KIND: Final = "blocklist-check"


def order() -> Order:
    """Look now."""
    return Order(kind=KIND)


class BlocklistRecheck:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(self, checks: BlocklistChecks) -> None:
        self._checks = checks

    async def step(self, _job: Job) -> Step:
        """The whole look."""
        result = _told(await self._checks.at_once())
        return Step(done=result["addresses"], total=result["addresses"], result=result)


def _told(found: Survey) -> dict[str, int]:
    listed = [one for one in found.answers if one.verdict is Verdict.LISTED]
    usable = [one for one in found.probes.values() if one.state is ListState.USABLE]
    return {
        "addresses": len({one.target.address for one in found.answers}),
        "lists": len(found.probes),
        "lists_that_answer": len(usable),
        "addresses_listed": len({one.target.address for one in listed}),
    }
