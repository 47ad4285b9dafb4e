"""The worker process: everything that is done by the clock and not by a client.

Wiring only. Its loops: events from the shards' outboxes into the log and to the suppression list,
retention, expiry, the usual rates of credentials, and a daily look at the DNS records of every domain.
It is the log's one writer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.database import open_engine
from appliance.core.dns import Resolver
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.domains import CheckState, Domains
from appliance.history import LogWriter, RpcOutbox, Shipper, SuppressionConsumer, write_partitions
from appliance.limits import Budgets, LoginFailures
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.loops import Loops
from appliance.run.shard_owners import ShardOwners
from appliance.run.usage import UsageConsumer
from appliance.suppressions import SuppressionList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Dns
    from appliance.domains import Check, DomainRecord
    from appliance.history import OutboxRow
    from appliance.run.process import Context

log = logging.getLogger(__name__)

CHECK_EVERY: Final = clock.DAY
BUDGETS_KEPT: Final = 2 * clock.DAY  # the longest window is a day
_SHIP_PAUSE: Final = 0.5
_TIDY_PAUSE: Final = 600.0
_LEARN_PAUSE: Final = 3600.0
_CHECK_PAUSE: Final = 300.0
_CHECKS_A_TURN: Final = 20
_SYSTEM: Final = Scope.system(by="worker")


async def main(context: Context) -> None:
    """Run until told to stop."""
    engine = open_engine(context.home.control_location(context.settings))
    worker = Worker(context, engine)
    try:
        await worker.start()
        log.info("%s is ready (pid %d)", context.name, os.getpid())
        await context.stop.wait()
    finally:
        await worker.close()
        await engine.dispose()


class Worker:
    """Everything of the process."""

    def __init__(self, context: Context, engine: AsyncEngine) -> None:
        settings, home = context.settings, context.home
        self._context, self._engine = context, engine
        self._loops = Loops(context)
        self._owners = ShardOwners(home, context.processes)
        self._writer = LogWriter(
            write_partitions(settings.database.url or home.log_dir),
            keep_days=settings.retention.events_days,
        )
        self._writing = asyncio.Lock()  # the log has one writer, and it works in threads
        self._keys = MasterKeys.load(home.keys_file)
        self._suppressions = SuppressionList(engine)
        self._credentials = Credentials(engine, self._keys)
        self._shipper = Shipper(
            [OwnersOutbox(self._owners, shard) for shard in context.shards],
            self._writer,
            [SuppressionConsumer(self._suppressions), UsageConsumer(self._credentials)],
        )

    async def start(self) -> None:
        """Open the log and turn the loops."""
        await asyncio.to_thread(self._writer.open)
        await self._loops.listen()
        self._loops.start("events", self._ship, pause=_SHIP_PAUSE, limit=120)
        self._loops.start("tidy", self._tidy, pause=_TIDY_PAUSE, limit=3 * _TIDY_PAUSE)
        self._loops.start("rates", self._learn, pause=_LEARN_PAUSE, limit=3 * _LEARN_PAUSE)
        checker = self._checker()
        self._loops.start("domains", checker.step, pause=_CHECK_PAUSE, limit=3 * _CHECK_PAUSE)

    async def close(self) -> None:
        """Let everything go."""
        await self._loops.close()
        await self._owners.close()
        async with self._writing:
            await asyncio.to_thread(self._writer.close)

    async def _ship(self) -> bool:
        async with self._writing:
            return await self._shipper.step()

    async def _tidy(self) -> bool:
        """Forget what is no longer kept; let what has expired end."""
        now = clock.now_ms()
        async with self._writing:
            gone = await asyncio.to_thread(self._writer.tidy)
        if gone:
            log.info("days of the event log that are no longer kept: %s", ", ".join(gone))
        await self._suppressions.tidy()
        await Budgets(self._engine).forget(now - BUDGETS_KEPT)
        await LoginFailures(self._engine).forget()
        return False

    async def _learn(self) -> bool:
        """What is usual for each credential, so that the unusual is held (MTA-3)."""
        await self._credentials.learn_usual_rates(clock.now_ms())
        return False

    def _checker(self) -> DomainChecker:
        settings = self._context.settings
        life = queue_life_ms(settings)
        domains = Domains(self._engine, self._keys, box_names(settings), queue_life=life)
        return DomainChecker(domains, settings.dns)


class OwnersOutbox:
    """The outbox of a shard, wherever its owner is (appliance.history.OutboxSource)."""

    def __init__(self, owners: ShardOwners, shard: int) -> None:
        self.shard = shard
        self._owners = owners

    async def read(self, limit: int) -> list[OutboxRow]:
        """The oldest events that were not acknowledged."""
        return await (await self._outbox()).read(limit)

    async def acknowledge(self, upto: int) -> None:
        """Let the owner forget."""
        await (await self._outbox()).acknowledge(upto)

    async def _outbox(self) -> RpcOutbox:
        return RpcOutbox(await self._owners.client_of(self.shard), self.shard)


class DomainChecker:
    """Looks at the DNS records of each domain once a day, and says which one broke."""

    def __init__(self, domains: Domains, dns: Dns, now: Callable[[], int] = clock.now_ms) -> None:
        self._domains, self._dns, self._now = domains, dns, now

    async def step(self) -> bool:
        """Check some that are due; True when more are."""
        due = [
            found
            for found in await self._domains.list(_SYSTEM)
            if found.checked_at + CHECK_EVERY <= self._now()
        ]
        lookup = Resolver(self._dns)  # a fresh one remembers nothing from before
        for found in due[:_CHECKS_A_TURN]:
            await tasks.guard(self._check(found, lookup), name=f"check of domain {found.name}")
        return len(due) > _CHECKS_A_TURN

    async def _check(self, before: DomainRecord, lookup: Resolver) -> None:
        owner = before.tenant_id
        after = await self._domains.check(_SYSTEM, before.name, lookup, tenant_id=owner)
        for check in broken(before, after):
            log.warning(
                "domain %s: the %s record %s was right and is %s now: %s",
                after.name,
                check.kind,
                check.name,
                check.state,
                check.problem,
            )


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
