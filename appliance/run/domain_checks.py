"""Domain checks, in the worker: the DNS records of each domain once a day, and which one broke."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.dns import Resolver
from appliance.core.scope import Scope
from appliance.domains import CheckState
from appliance.run import domain_notices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.core.settings import Dns
    from appliance.domains import Check, DomainRecord, Domains
    from appliance.notices import Notices

CHECK_EVERY: Final = clock.DAY
NEW_EVERY: Final = 10 * clock.MINUTE  # while its owner publishes its records
NEW_FOR: Final = 7 * clock.DAY
_CHECKS_A_TURN: Final = 20
_SYSTEM: Final = Scope.system(by="worker")
log = logging.getLogger(__name__)


class DomainChecker:
    """Looks at the DNS records of each domain once a day, and says which one broke."""

    def __init__(
        self, domains: Domains, dns: Dns, notices: Notices, now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._domains, self._dns, self._notices, self._now = domains, dns, notices, now

    async def step(self) -> bool:
        """Check some that are due; True when more are."""
        due = [
            found
            for found in await self._domains.list(_SYSTEM)
            if found.checked_at + _pause(found, self._now()) <= self._now()
        ]
        await self.check(due[:_CHECKS_A_TURN])
        known = await self._domains.list(_SYSTEM)
        await domain_notices.tidy(self._notices, known)
        await domain_notices.tell_verified(self._notices, known, self._now())
        return len(due) > _CHECKS_A_TURN

    async def check(self, some: Sequence[DomainRecord]) -> None:
        """Look at these now; one that crashes the look stops no other."""
        lookup = Resolver(self._dns)  # a fresh one remembers nothing from before
        for found in some:
            await tasks.guard(self._check(found, lookup), name=f"check of domain {found.name}")

    async def _check(self, before: DomainRecord, lookup: Resolver) -> None:
        owner = before.tenant_id
        after = await self._domains.check(_SYSTEM, before.name, lookup, tenant_id=owner)
        broke = list(broken(before, after))
        await domain_notices.tell(self._notices, after, broke)
        for check in broke:
            log.warning(
                "domain %s: the %s record %s was right and is %s now: %s",
                after.name,
                check.kind,
                check.name,
                check.state,
                check.problem,
            )


def _pause(found: DomainRecord, now: int) -> int:
    """How long after a look comes the next."""
    is_new = found.created_at + NEW_FOR > now and not found.is_right
    return NEW_EVERY if is_new else CHECK_EVERY


def broken(before: DomainRecord, after: DomainRecord) -> Iterator[Check]:
    """Records that were right at the last check and are not any more."""
    if before.report is None or after.report is None:
        return
    right = {
        (check.kind, check.name) for check in before.report.checks if check.state is CheckState.OK
    }
    bad = (CheckState.MISSING, CheckState.DIFFERENT)
    for check in after.report.checks:
        if check.state in bad and (check.kind, check.name) in right:
            yield check
