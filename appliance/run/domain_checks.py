"""Domain checks, in the worker: the DNS records of each domain once a day, and which one broke.

A check costs some 25 ms of CPU, half of it for a dozen questions to DNS. Thousands can be due at
once, after an update or an import: they are spread out, so that mail does not wait for them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.dns import Resolver
from appliance.core.scope import Scope
from appliance.domains import CheckState
from appliance.run import domain_notices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from appliance.core.settings import Dns
    from appliance.domains import Check, DomainRecord, Domains
    from appliance.notices import Notices

CHECK_EVERY: Final = clock.DAY
NEW_EVERY: Final = 10 * clock.MINUTE  # while its owner publishes its records
NEW_FOR: Final = 7 * clock.DAY
REST: Final = 0.1
"""Seconds after each check: all of them take a quarter of a core at most."""

CHECKS_A_TURN: Final = 20
"""So many share a resolver, which remembers what it was told; a process that is to stop waits for them."""

_SYSTEM: Final = Scope.system(by="worker")
log = logging.getLogger(__name__)


class DomainChecker:
    """Looks at the DNS records of each domain once a day, and says which one broke."""

    def __init__(
        self,
        domains: Callable[[], Awaitable[Domains]],
        dns: Dns,
        notices: Notices,
        now: Callable[[], int] = clock.now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`domains` are asked for anew each turn: the box's own names may have changed."""
        self._domains, self._dns, self._notices = domains, dns, notices
        self._now, self._sleep = now, sleep
        self._due: list[int] = []

    async def step(self) -> bool:
        """Check some that are due; True when more are."""
        domains = await self._domains()
        if not self._due:
            self._due = [one.id for one in await domains.list(_SYSTEM) if self._is_due(one)]
        turn, self._due = self._due[:CHECKS_A_TURN], self._due[CHECKS_A_TURN:]
        await self.check([one for one in await domains.some(_SYSTEM, turn) if self._is_due(one)])
        if self._due:
            return True
        known = await domains.list(_SYSTEM)
        await domain_notices.tidy(self._notices, known)
        await domain_notices.tell_verified(self._notices, known, self._now())
        return False

    def _is_due(self, found: DomainRecord) -> bool:
        now = self._now()
        return found.checked_at + _pause(found, now) <= now

    async def check(self, some: Sequence[DomainRecord]) -> None:
        """Look at these now; one that crashes the look stops no other."""
        domains = await self._domains()
        lookup = Resolver(self._dns)  # a fresh one remembers nothing from before
        for found in some:
            looked = self._check(domains, found, lookup)
            await tasks.guard(looked, name=f"check of domain {found.name}")
            await self._sleep(REST)

    async def _check(self, domains: Domains, before: DomainRecord, lookup: Resolver) -> None:
        owner = before.tenant_id
        after = await domains.check(_SYSTEM, before.name, lookup, tenant_id=owner)
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
