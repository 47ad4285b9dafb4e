"""The worker process: everything that is done by the clock and not by a client.

Wiring only. Its loops: events from the shards' outboxes into the log and to the suppression list,
statistics, jobs, retention, expiry, the usual rates of credentials, the TLS reports, and a daily look at the DNS records
of every domain.
It is the log's one writer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

from appliance import people
from appliance.blocklists import Blocklists
from appliance.core import clock, tasks
from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Tries
from appliance.domains import Domains
from appliance.egress import Egresses, Pools, default_egress
from appliance.history import (
    LogReader,
    LogWriter,
    RpcOutbox,
    Shipper,
    SuppressionConsumer,
    write_partitions,
)
from appliance.jobs import Jobs
from appliance.limits import Budgets, LoginFailures
from appliance.notices import Notices
from appliance.operations import Operations
from appliance.run import webhook_sender
from appliance.run.backup.schedule import BackupSchedule
from appliance.run.blocklist_checks import box_checks
from appliance.run.blocklist_recheck import KIND as BLOCKLIST_CHECK
from appliance.run.blocklist_recheck import BlocklistRecheck
from appliance.run.damaged_days import tell_of_damaged_days
from appliance.run.directory import box_names, queue_life_ms, sending_names
from appliance.run.domain_checks import DomainChecker
from appliance.run.domain_recheck import KIND as DOMAIN_RECHECK
from appliance.run.domain_recheck import DomainRecheck
from appliance.run.egress_checks import EgressChecks
from appliance.run.egress_drainer import BoxDrainer
from appliance.run.exports import KIND as EXPORT
from appliance.run.exports import Export
from appliance.run.exports import tidy as tidy_exports
from appliance.run.first_messages import FirstMessages
from appliance.run.handover import Handover
from appliance.run.job_runner import JobRunner
from appliance.run.loops import Loops
from appliance.run.notification_loops import NotificationLoops
from appliance.run.people import people_options
from appliance.run.queue_job import KIND as QUEUE_ACTION
from appliance.run.queue_job import QueueAction
from appliance.run.shard_owners import ShardOwners
from appliance.run.statistics_loop import KIND as STATISTICS_REBUILD
from appliance.run.statistics_loop import PAUSE as COUNT_PAUSE
from appliance.run.statistics_loop import StatisticsLoop
from appliance.run.suppression_import import KIND as SUPPRESSION_IMPORT
from appliance.run.suppression_import import SuppressionImport
from appliance.run.tls_reports import tls_reporter
from appliance.run.usage import UsageConsumer
from appliance.run.vitals import PAUSE as LOOK_PAUSE
from appliance.run.vitals import Vitals
from appliance.run.warmup_days import STEP_PAUSE, Deliveries, WarmupConsumer, WarmupDays
from appliance.run.web_queue import BoxQueue
from appliance.run.webhook_sender import WebhookSender, webhooks_of
from appliance.shaping import ThrottleStore
from appliance.shaping.file import ShapingFile, places
from appliance.suppressions import SuppressionList
from appliance.tenancy import AuditLog, Tenants
from appliance.warmup import DayBook
from appliance.webhooks import REPLAY as WEBHOOK_REPLAY
from appliance.webhooks import WebhookReplay
from mta.warmup.day import zone_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.history import OutboxRow
    from appliance.run.blocklist_checks import BlocklistChecks
    from appliance.run.job_runner import Kind
    from appliance.run.process import Context

log = logging.getLogger(__name__)

BUDGETS_KEPT: Final = 2 * clock.DAY  # the longest window is a day
THROTTLES_KEPT: Final = 30 * clock.DAY
NOTICES_KEPT: Final = 90 * clock.DAY
JOBS_KEPT: Final = 30 * clock.DAY
_JOB_PAUSE: Final = 1.0
_JOB_LIMIT: Final = 600.0
_SHIP_PAUSE: Final = 0.5
_TIDY_PAUSE: Final = 600.0
_LEARN_PAUSE: Final = 3600.0
_CHECK_PAUSE: Final = 300.0
_LIST_PAUSE: Final = 60.0
_REPORT_PAUSE: Final = 60.0
_BACKUP_LIMIT: Final = 6 * 3600.0
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
        self._handover = Handover(home.socket("mta-0"))
        self._writer = LogWriter(
            write_partitions(settings.database.url or home.log_dir),
            keep_days=settings.retention.events_days,
        )
        self._writing = asyncio.Lock()  # the log has one writer, and it works in threads
        self._keys = MasterKeys.load(home.keys_file)
        self._suppressions = SuppressionList(engine)
        self._credentials = Credentials(engine, self._keys)
        self._zone = zone_of(settings.warmup.timezone)
        self._days = DayBook(engine)
        self._log = reader = LogReader(settings.database.url or home.log_dir)
        self._shipper = Shipper(
            [OwnersOutbox(self._owners, shard) for shard in context.shards],
            self._writer,
            [
                SuppressionConsumer(self._suppressions),
                UsageConsumer(self._credentials),
                FirstMessages(Tries(engine)),
                WarmupConsumer(self._days, self._zone, Deliveries(reader)),
            ],
        )
        counts = home.statistics_location(settings)
        self._statistics = StatisticsLoop(counts, reader, settings.retention)
        self._notifications = NotificationLoops(context, engine, self._handover)
        self._webhooks = WebhookSender(settings, home, engine, self._keys, self._loops.metrics)
        self._domain_checks = DomainChecker(self._sending_domains, settings.dns, Notices(engine))
        self._is_caught_up = False  # whether the log has all that happened while nobody shipped

    async def start(self) -> None:
        """Open the log and turn the loops."""
        await asyncio.to_thread(self._writer.open)
        await self._loops.listen()
        self._loops.start("events", self._ship, pause=_SHIP_PAUSE, limit=120)
        self._loops.start("tidy", self._tidy, pause=_TIDY_PAUSE, limit=3 * _TIDY_PAUSE)
        self._loops.start("rates", self._learn, pause=_LEARN_PAUSE, limit=3 * _LEARN_PAUSE)
        self._loops.start(
            "domains", self._domain_checks.step, pause=_CHECK_PAUSE, limit=3 * _CHECK_PAUSE
        )
        self._loops.start("statistics", self._count, pause=COUNT_PAUSE, limit=120)
        self._loops.start("jobs", self._job_runner().step, pause=_JOB_PAUSE, limit=_JOB_LIMIT)
        self._start_webhooks()
        self._start_backups()
        self._start_address_checks()
        self._start_warmup()
        self._start_reports()
        self._notifications.start(self._loops)
        self._start_vitals()

    async def close(self) -> None:
        """Let everything go."""
        await self._loops.close()
        await tasks.guard(self._webhooks.close(), name="the last save of webhooks")
        await self._owners.close()
        await self._handover.close()
        await self._statistics.close()
        await self._notifications.close()
        async with self._writing:
            await asyncio.to_thread(self._writer.close)

    async def _ship(self) -> bool:
        async with self._writing:
            more = await self._shipper.step()
        self._is_caught_up = self._is_caught_up or not more
        return self._caught_up("events", more=more)

    async def _count(self) -> bool:
        return self._caught_up("statistics", more=await self._statistics.step())

    def _caught_up(self, of: str, *, more: bool) -> bool:
        """Note when there was nothing more to do; returns whether there is."""
        if not more:
            self._loops.metrics.caught_up.set(clock.now_ms() / clock.SECOND, of)
        return more

    async def _tidy(self) -> bool:
        """Forget what is no longer kept; let what has expired end."""
        now = clock.now_ms()
        async with self._writing:
            gone = await asyncio.to_thread(self._writer.tidy)
        if gone:
            log.info("days of the event log that are no longer kept: %s", ", ".join(gone))
        await self._suppressions.tidy()
        await asyncio.to_thread(tidy_exports, self._context.home, now)
        await self._statistics.tidy()
        await Budgets(self._engine).forget(now - BUDGETS_KEPT)
        await LoginFailures(self._engine).forget()
        await Operations(self._engine).forget_expired()
        await ThrottleStore(self._engine).forget(now - THROTTLES_KEPT)
        await tell_of_damaged_days(self._context.home.log_dir, Notices(self._engine))
        await Notices(self._engine).forget(_SYSTEM, now - NOTICES_KEPT)
        await Jobs(self._engine).forget(_SYSTEM, now - JOBS_KEPT)
        await Blocklists(self._engine).forget(_SYSTEM, now - NOTICES_KEPT)
        await people.tidy(self._engine, self._keys, people_options(self._context.settings))
        return False

    async def _learn(self) -> bool:
        """What is usual for each credential, so that the unusual is held (MTA-3)."""
        await self._credentials.learn_usual_rates(clock.now_ms())
        return False

    async def _sending_domains(self) -> Domains:
        settings = self._context.settings
        life = queue_life_ms(settings)
        names = await sending_names(settings, self._engine)
        return Domains(self._engine, self._keys, names, queue_life=life)

    def _job_runner(self) -> JobRunner:
        """What people asked for and do not wait for."""
        jobs = Jobs(self._engine)
        kinds: dict[str, Kind] = {
            SUPPRESSION_IMPORT: SuppressionImport(jobs, self._suppressions),
            QUEUE_ACTION: QueueAction(self._owners),
            STATISTICS_REBUILD: self._statistics.rebuild,
            WEBHOOK_REPLAY: self._webhook_replay(),
            EXPORT: Export(
                self._context.home,
                self._log,
                self._suppressions,
                AuditLog(self._engine),
                BoxQueue(self._owners, jobs),
            ),
            DOMAIN_RECHECK: self._domain_recheck(),
            BLOCKLIST_CHECK: BlocklistRecheck(self._blocklist_checks()),
        }
        return JobRunner(jobs, kinds, self._context.name)

    def _domain_recheck(self) -> DomainRecheck:
        """All domains now, because somebody asked."""
        life = queue_life_ms(self._context.settings)
        names = box_names(self._context.settings)
        domains = Domains(self._engine, self._keys, names, queue_life=life)
        return DomainRecheck(domains, self._domain_checks.check)

    def _webhook_replay(self) -> WebhookReplay:
        webhooks = webhooks_of(self._context.settings, self._engine, self._keys)
        return WebhookReplay(webhooks, self._webhooks.log)

    def _start_webhooks(self) -> None:
        """Tell applications what became of their mail."""
        told, tidy = webhook_sender.LIMIT, webhook_sender.TIDY
        self._loops.start("webhooks", self._webhooks.step, pause=webhook_sender.PAUSE, limit=told)
        self._loops.start("webhook log", self._webhooks.tidy, pause=tidy, limit=3 * tidy)

    def _start_backups(self) -> None:
        """Back the box up by itself, if that is wanted."""
        context = self._context
        if context.settings.backup.directory:
            notices = Notices(self._engine)
            schedule = BackupSchedule(context.home, context.settings, notices, context.stop)
            # One of many gigabytes takes its time.
            self._loops.start("backup", schedule.step, pause=_CHECK_PAUSE, limit=_BACKUP_LIMIT)

    def _start_vitals(self) -> None:
        """What Prometheus is told of the machine and the records."""
        context = self._context
        vitals = Vitals(context.home, context.settings, Notices(self._engine), self._loops.metrics)
        self._loops.start("vitals", vitals.step, pause=LOOK_PAUSE, limit=20 * LOOK_PAUSE)

    def _start_reports(self) -> None:
        """Tell receivers daily what TLS did, if they ask for it."""
        settings = self._context.settings
        if settings.tls_reports.enabled:
            reporter = tls_reporter(settings, self._engine, self._handover)
            # A step may post to dozens of hosts that do not answer.
            self._loops.start(
                "tls reports", reporter.step, pause=_REPORT_PAUSE, limit=30 * _REPORT_PAUSE
            )

    def _start_warmup(self) -> None:
        """Judge each day of each warmup when it is over."""
        settings, home = self._context.settings, self._context.home
        shaping = ShapingFile(places(settings, home))

        def has_feedback_loop(name: str) -> bool:
            provider = shaping.load_or_shipped().providers.get(name)
            return provider is not None and provider.feedback_loop

        days = WarmupDays(
            self._days,
            Budgets(self._engine),
            zone=self._zone,
            idle_days=settings.warmup.idle_days,
            has_feedback_loop=has_feedback_loop,
            is_caught_up=lambda: self._is_caught_up,
        )
        self._loops.start("warmup", days.step, pause=STEP_PAUSE, limit=10 * STEP_PAUSE)

    def _start_address_checks(self) -> None:
        """Forward and reverse DNS of the egress addresses, and the blocklists."""
        settings, engine = self._context.settings, self._engine
        egresses = Egresses(engine, hostname=box_names(settings).hostname)
        names = EgressChecks(egresses, settings.dns, Notices(engine))
        self._loops.start("egresses", names.step, pause=_CHECK_PAUSE, limit=3 * _CHECK_PAUSE)
        lists = self._blocklist_checks()
        self._loops.start("blocklists", lists.step, pause=_LIST_PAUSE, limit=60 * _LIST_PAUSE)

    def _blocklist_checks(self) -> BlocklistChecks:
        settings, engine = self._context.settings, self._engine
        egresses = Egresses(engine, hostname=box_names(settings).hostname)
        pools = Pools(engine, Tenants(engine), self._credentials)
        drainer = BoxDrainer(egresses, pools, default_egress(settings))
        return box_checks(settings, self._context.home, engine, drainer)


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
