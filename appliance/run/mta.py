"""The mta process: submission and delivery for the shards it owns.

Wiring only: it picks the concrete classes and starts the loops. One process has one primary shard,
which takes new mail, and delivers what is left in any other shard it was given.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from appliance.core import clock, ids, tasks
from appliance.core.beat import Health
from appliance.core.database import open_engine
from appliance.core.dns import Resolver
from appliance.core.metrics import Metrics, watch_process
from appliance.core.rpc import RpcServer
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.limits import Budget, Budgets, LoginFailures
from appliance.run.current import Current
from appliance.run.directory import POLL_SECONDS, DirectoryReader, box_names
from appliance.run.handover import Handover
from appliance.run.mta_rpc import handlers_of
from appliance.run.observers import Observers
from appliance.run.process import Context, die
from appliance.run.smtp import submission_listeners
from appliance.run.spools import open_backend
from mta.bounce import return_path
from mta.bounce.notices import Notices
from mta.intake import Intake
from mta.message import Egress
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import Recorder
from mta.policy.limits import Quota
from mta.scheduling.dispatcher import Dispatcher
from mta.scheduling.operations import Operations
from mta.scheduling.sender import Limits, Sender
from mta.scheduling.window import Window
from mta.signing.signer import Resigner, sign_admitted
from mta.spool.shard import Shard
from mta.submission.listener import drain
from mta.transport.mx_cache import MxCache
from mta.transport.route import router_for
from mta.transport.smarthost import transport_for

if TYPE_CHECKING:
    from appliance.core.settings import Queue, Settings
    from mta.message import Message
    from mta.transport.base import Router, Transport

log = logging.getLogger(__name__)

TIDY_SECONDS = 1.0
PURGE_PAGE = 2000
DONE_GRACE = 5 * clock.SECOND
"""Finished messages stay this long, so that a look at one that just went still finds it."""


def retry_schedule(queue: Queue) -> RetrySchedule:
    """The back-off as configured."""
    return RetrySchedule(
        waits=tuple(int(seconds * clock.SECOND) for seconds in queue.retry),
        jitter=queue.jitter,
        lifetime=int(queue.lifetime * clock.SECOND),
        bulk_lifetime=int(queue.bulk_lifetime * clock.SECOND),
    )


def return_path_keys(keys: MasterKeys) -> return_path.ReturnPathKeys:
    """Keys of signed return paths, one for each version of the master key."""
    derived = {version: keys.derive("return path", version) for version in keys.versions}
    return return_path.ReturnPathKeys(derived, keys.newest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One shard with everything that serves it."""

    shard: Shard
    dispatcher: Dispatcher
    sender: Sender
    operations: Operations
    notices: Notices

    async def summarise(self, now: int) -> None:
        """Send the summaries that are due."""
        for admitted in self.notices.summaries(now):
            signature = await self.shard.accept(admitted)
            message = replace(admitted.message, signature=signature)
            self.dispatcher.fresh(message, list(admitted.recipients), admitted.content)


class Mta:
    """Everything of one process."""

    def __init__(self, context: Context, current: Current, keys: MasterKeys) -> None:
        self.context, self.current, self.keys = context, current, keys
        self.settings: Settings = context.settings
        self.metrics = Metrics()
        watch_process(self.metrics.registry)
        self.observers = Observers(self.metrics, current())
        self.health = Health(context.name)
        self.schedule = retry_schedule(self.settings.queue)
        self.egress = egress_of(self.settings)
        self.return_path_keys = return_path_keys(keys)
        self.names = box_names(self.settings)
        self.resolver = Resolver(self.settings.dns)
        self.mx_cache = MxCache(context.home.path / "cache.db")
        self.router = self._router()
        self.transport: Transport = transport_for(self.settings.delivery)
        self.deliveries: list[Delivery] = []
        self._has_space = True

    def _router(self) -> Router:
        inbound = self.context.inbound_place
        return router_for(
            self.resolver,
            self.settings.delivery,
            own_names=lambda: self.current().own_names,
            bounce_domains=lambda: self.current().bounce_domains,
            inbound=inbound,
            cache=self.mx_cache,
        )

    # -- shards --------------------------------------------------------------

    async def open_shards(self) -> None:
        """Take over the shards and what waits in them."""
        for number in self.context.shards:
            self.deliveries.append(await self._open(number))

    async def _open(self, number: int) -> Delivery:
        home = self.context.home
        shard = await Shard.open(
            await open_backend(home, self.settings, number),
            number,
            sign_admitted,
            on_fatal=lambda: die(f"shard {number} is lost: this process starts anew"),
            observer=self.observers,
            lock=home.spool_dir / f"spool-{number}.lock",
        )
        queue = self.settings.queue
        window = Window(max_recipients=queue.ready_recipients, max_bytes=queue.ready_bytes)
        dispatcher = Dispatcher(
            shard=shard,
            router=self.router,
            egress=self.egress,
            directory=self.current,
            window=window,
        )
        notices = Notices(
            shard=shard,
            directory=self.current,
            schedule=self.schedule,
            hostname=self.names.hostname,
            per_hour=max(1, queue.notices_per_hour // mta_count(self.context)),
        )
        dispatcher.sender = sender = Sender(
            shard=shard,
            dispatcher=dispatcher,
            transport=self.transport,
            recorder=Recorder(self.schedule, random.random),
            window=window,
            directory=self.current,
            return_path=self._return_path,
            signature=Resigner(self.current, lambda m, s: self._store_signature(shard, m, s)),
            notices=notices,
            observer=self.observers,
            limits=Limits(
                connections_per_site=self.settings.delivery.connections_per_site,
                max_connections=self.settings.delivery.max_connections,
                idle_timeout=self.settings.delivery.idle_timeout,
            ),
        )
        requeued = await dispatcher.load()
        self.metrics.requeued.inc(by=requeued)
        operations = Operations(
            shard=shard, dispatcher=dispatcher, window=window, directory=self.current
        )
        return Delivery(
            shard=shard,
            dispatcher=dispatcher,
            sender=sender,
            operations=operations,
            notices=notices,
        )

    def _return_path(self, message: Message, n: int | None) -> str:
        if not message.envelope_from:
            return ""  # what came with the null return path leaves with it: no bounces of bounces
        local = return_path.encode(self.return_path_keys, message.id, n)
        return f"{local}@{message.bounce_domain}"

    def _store_signature(self, shard: Shard, message: Message, signature: bytes) -> None:
        async def store() -> None:
            await shard.call(
                lambda spool, _: spool.resign(message.id, message.signing_domain, signature)
            )

        tasks.spawn(store(), name=f"sign {ids.to_text(message.id)} again")

    # -- loops -----------------------------------------------------------------

    def has_space(self) -> bool:
        """Whether new mail may be taken."""
        return self._has_space

    async def tidy(self) -> bool:
        """Drop finished messages and look at the disk."""
        free = shutil.disk_usage(self.context.home.spool_dir).free
        self._has_space = free >= self.settings.spool.min_free_bytes
        now = clock.now_ms()
        keep = max(DONE_GRACE, int(self.settings.spool.keep_content * clock.SECOND))
        purged = 0
        for delivery in self.deliveries:
            await delivery.summarise(now)
            purged += await delivery.shard.call(
                lambda store, batch: store.purge(now - keep, batch.now, PURGE_PAGE)
            )
        return purged >= PURGE_PAGE

    def follow(self) -> None:
        """React to a new directory."""
        directory = self.current()
        self.observers.directory = directory
        for delivery in self.deliveries:
            delivery.dispatcher.directory_changed()
            delivery.sender.directory_changed()

    def watch(self) -> None:
        """Gauges that are read when somebody asks."""
        depth, unrecorded = self.metrics.queue_depth, self.metrics.unrecorded
        depth.follow(lambda: sum(d.dispatcher.in_memory for d in self.deliveries), "ready")
        depth.follow(lambda: sum(len(d.dispatcher.backlog) for d in self.deliveries), "keys")
        unrecorded.follow(lambda: sum(d.sender.outstanding for d in self.deliveries))
        self.metrics.open_out.follow(lambda: sum(d.sender.connections for d in self.deliveries))
        self.health.register("disk", self._disk)

    def _disk(self) -> tuple[bool, str]:
        floor = self.settings.spool.min_free_bytes >> 20
        return self._has_space, f"at least {floor} MB must be free for new mail"


def mta_count(context: Context) -> int:
    """How many mta processes the box has."""
    return sum(1 for name in context.processes if name.startswith("mta-"))


def egress_of(settings: Settings) -> Egress:
    """The machine's default address and HELO name, for now the only egress."""
    delivery = settings.delivery
    return Egress(
        name=delivery.source_address or "default",
        address=delivery.source_address,
        helo=delivery.helo or settings.box.hostname,
        ipv6=delivery.ipv6,
    )


async def main(context: Context) -> None:
    """Run until told to stop, then drain."""
    keys = MasterKeys.load(context.home.keys_file)
    engine = open_engine(context.home.control_db)
    reader = DirectoryReader(engine, keys, context.settings)
    current = await Current.load(reader)
    mta = Mta(context, current, keys)
    budgets = Budgets(engine)

    async def lease(key: str, window: int, amount: int, limit: int) -> int:
        return await budgets.lease(Budget(key=key, window=window), amount, limit)

    quota = Quota(lease)
    await mta.open_shards()
    current.subscribe(lambda _: mta.follow())
    primary = mta.deliveries[0]
    intake = Intake(
        shard=primary.shard,
        scheduler=primary.dispatcher,
        directory=current,
        quota=quota,
        schedule=mta.schedule,
        observer=mta.observers,
        handover=Handover(context.home.socket("mta-0")),
        has_space=mta.has_space,
        hostname=mta.names.hostname,
        bounce_domain=mta.names.bounce_domain,
    )
    smtp = submission_listeners(context, current, keys, intake, mta.metrics)
    rpc = RpcServer(context.home.socket(context.name), handlers_of(mta, intake))
    mta.watch()
    await rpc.start()
    await smtp.start()

    async def share() -> bool:
        failures = LoginFailures(engine)
        smtp.ledger.merge(await failures.add_failures(smtp.ledger.drain_deltas()))
        await Credentials(engine, keys).note_uses(smtp.uses.drain())
        return False

    async def dispatch(dispatcher: Dispatcher) -> bool:
        if not await dispatcher.step():
            await dispatcher.wait()
        return True

    loops = [
        tasks.spawn(
            tasks.run_forever(step, name=name, pause=pause, stop=context.stop, on_beat=beat),
            name=name,
        )
        for name, step, pause, beat in [
            ("directory", current.step, POLL_SECONDS, mta.health.watch("directory", 15)),
            ("tidy", mta.tidy, TIDY_SECONDS, mta.health.watch("tidy", 60)),
            ("share", share, 1.0, mta.health.watch("share", 60)),
        ]
    ]
    for delivery in mta.deliveries:
        loops.append(
            tasks.spawn(
                tasks.run_forever(
                    lambda d=delivery.dispatcher: dispatch(d),  # type: ignore[misc]  # bound early
                    name=f"dispatch {delivery.shard.number}",
                    pause=0.05,
                    stop=context.stop,
                    on_beat=mta.health.watch(f"dispatch {delivery.shard.number}", 90),
                ),
                name="dispatch",
            )
        )
    log.info("%s is ready (pid %d)", context.name, os.getpid())
    await context.stop.wait()
    for delivery in mta.deliveries:
        delivery.dispatcher.stop()
    await drain(smtp.listeners, smtp.sessions, context.settings.processes.drain_timeout)
    await asyncio.gather(*(delivery.sender.drain() for delivery in mta.deliveries))
    for loop in loops:
        loop.cancel()
    await rpc.close()
    for delivery in mta.deliveries:
        await delivery.shard.close()
    await asyncio.to_thread(mta.mx_cache.close)
    await share()
    await engine.dispose()
