"""Domain recheck as a job: the DNS records of all domains of a tenant or the box, looked at now.

A few domains a step; one whose nameservers are silent costs its time and holds up none behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core.scope import BOX, Scope
from appliance.jobs import Order, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from appliance.domains import DomainRecord, Domains
    from appliance.jobs import Job

KIND: Final = "domain-recheck"
_A_STEP: Final = 5


def order(tenant_id: int = BOX) -> Order:
    """Look at those of a tenant, or at all."""
    return Order(kind=KIND, tenant_id=tenant_id)


class DomainRecheck:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(
        self, domains: Domains, check: Callable[[Sequence[DomainRecord]], Awaitable[None]]
    ) -> None:
        """`check` looks at some domains and tells of what broke."""
        self._domains, self._check = domains, check

    async def step(self, job: Job) -> Step:
        """The next few."""
        is_boxs = job.tenant_id == BOX
        scope = Scope.system(by=job.by) if is_boxs else Scope.tenant(job.tenant_id, by=job.by)
        every = sorted(await self._domains.list(scope), key=lambda one: one.id)
        after = int(job.place.get("after", 0))
        rest = [one for one in every if one.id > after]
        turn = rest[:_A_STEP]
        await self._check(turn)
        done = len(every) - len(rest) + len(turn)
        result = {"domains": done} if len(turn) == len(rest) else None
        place = {"after": turn[-1].id} if turn else job.place
        return Step(place=place, done=done, total=len(every), result=result)
