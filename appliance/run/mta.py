"""The mta process: submission and delivery for the shards it owns.

Wiring only: it picks the concrete classes and starts the loops. One process has one primary shard,
which takes new mail, and delivers what is left in any other shard it was given.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from appliance.core import clock, memory, tasks
from appliance.core.beat import Health
from appliance.core.database import open_engine
from appliance.core.dns import Resolver
from appliance.core.errors import StoreError
from appliance.core.metrics import Metrics, watch_process
from appliance.core.rpc import RpcServer
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Tries, Try, Use
from appliance.limits import Budgets, Leases, LoginFailures
from appliance.run.current import Current
from appliance.run.delivery import (
    Delivery,
    Tools,
    open_delivery,
    retry_schedule,
    return_path_keys,
)
from appliance.run.directory import POLL_SECONDS, DirectoryReader, box_names
from appliance.run.explain import explainer
from appliance.run.floors import LOOK_SECONDS, Floors
from appliance.run.handover import Handover
from appliance.run.mta_rpc import handlers_of
from appliance.run.observers import Observers
from appliance.run.process import die
from appliance.run.regulation import STEP_SECONDS, Regulation
from appliance.run.smtp import submission_listeners
from appliance.run.tls_out import STORE_SECONDS, TlsOut
from mta.intake import Intake
from mta.policy.limits import Quota
from mta.spool.store import CLOCK_BACK
from mta.submission.listener import drain
from mta.transport.mx_cache import MxCache
from mta.transport.route import router_for
from mta.transport.smarthost import transport_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.run.process import Context
    from appliance.run.smtp import SubmissionSmtp
    from mta.scheduling.regulator import Regulator
    from mta.scheduling.traffic import Traffic

log = logging.getLogger(__name__)

PURGE_PAGE = 2000
DONE_GRACE = 5 * clock.SECOND
"""Finished messages stay this long, so that a look at one that just went still finds it."""


async def main(context: Context) -> None:
    """Run until told to stop, then drain."""
    keys = MasterKeys.load(context.home.keys_file)
    engine = open_engine(context.home.control_location(context.settings))
    current = await Current.load(DirectoryReader(engine, keys, context.settings))
    mta = Mta(context, current, keys, engine)
    try:
        await mta.start()
        log.info("%s is ready (pid %d)", context.name, os.getpid())
        await context.stop.wait()
        await mta.drain()
    finally:
        await mta.close()


class Mta:
    """Everything of one process."""

    def __init__(
        self, context: Context, current: Current, keys: MasterKeys, engine: AsyncEngine
    ) -> None:
        self.context, self.current, self.keys = context, current, keys
        self.metrics = Metrics()
        self.health = Health(context.name)
        self.deliveries: list[Delivery] = []
        self._engine = engine
        self._observers = Observers(self.metrics, current())
        self._mx_cache = MxCache(context.home.path / "cache.db")
        self._loops: list[asyncio.Task[None]] = []
        self._tidied_at = 0
        self._went_back = 0  # how far the clock did, until a whole turn has seen it
        self._resolver = Resolver(context.settings.dns, count=self.metrics.dns_lookups.inc)
        self._tls = TlsOut(
            context.settings,
            self._resolver,
            engine,
            context.home.path / "sts.db",
            self.metrics,
        )
        self._regulation = Regulation(context, current, engine, on_plaintext=self._tls.avoid)
        self._handover = Handover(context.home.socket("mta-0"))
        self._smtp: SubmissionSmtp
        self._floors: Floors
        self._rpc: RpcServer

    @property
    def regulator(self) -> Regulator:
        """What slows mail down."""
        return self._regulation.regulator

    @property
    def traffic(self) -> Traffic:
        """What went on in the last minute."""
        return self._observers.traffic

    # -- life ------------------------------------------------------------------

    async def start(self) -> None:
        """Take over the shards, then let others in."""
        await self._regulation.load()
        tools = self._tools()
        for number in self.context.shards:
            self.deliveries.append(await open_delivery(number, tools))
        intake = self._intake(tools)
        self._smtp = submission_listeners(
            self.context, self.current, self.keys, intake, self.metrics
        )
        self._floors = Floors.of(self.context, self._smtp.room)
        self._floors.look()
        self._rpc = RpcServer(
            self.context.home.socket(self.context.name),
            {
                **handlers_of(self, intake),
                "shaping_explain": explainer(tools.router, tools.regulator, self.current),
            },
        )
        self.current.subscribe(lambda _: self._directory_changed())
        self._watch()
        await self._rpc.start()
        await self._smtp.start()
        self._start_loops()

    async def drain(self) -> None:
        """End the sessions of clients, then the transactions with receivers."""
        limit = self.context.settings.processes.drain_timeout
        await drain(self._smtp.listeners, self._smtp.sessions, limit)
        await asyncio.gather(*(delivery.drain() for delivery in self.deliveries))
        await self._share()
        await self._tls.share()
        await self._regulation.close()

    async def close(self) -> None:
        """Let everything go; what is queued for the disk is written first."""
        for loop in self._loops:
            loop.cancel()
        if hasattr(self, "_rpc"):
            await self._rpc.close()
        for delivery in self.deliveries:
            await delivery.close()
        await self._handover.close()
        await asyncio.to_thread(self._mx_cache.close)
        await asyncio.to_thread(self._tls.close)
        await self._engine.dispose()

    # -- wiring ------------------------------------------------------------------

    def _tools(self) -> Tools:
        settings, current = self.context.settings, self.current
        router = router_for(
            self._resolver,
            settings.delivery,
            own_names=lambda: current().own_names,
            bounce_domains=lambda: current().bounce_domains,
            inbound=self.context.inbound_place,
            cache=self._mx_cache,
            results=self._tls.results,
            sts=self._tls.sts,
            ipv6=lambda: settings.delivery.ipv6 or current().egress.has_ipv6,
        )
        return Tools(
            context=self.context,
            current=current,
            observers=self._observers,
            router=router,
            transport=transport_for(settings.delivery, self._tls.tools),
            regulator=self._regulation.regulator,
            schedule=retry_schedule(settings.queue),
            return_paths=return_path_keys(self.keys),
        )

    def _intake(self, tools: Tools) -> Intake:
        names = box_names(self.context.settings)
        return Intake(
            shard=self.deliveries[0].shard,
            scheduler=self.deliveries[0].dispatcher,
            directory=self.current,
            quota=Quota(Leases(Budgets(self._engine)).lease),
            schedule=tools.schedule,
            observer=self._observers,
            handover=self._handover,
            has_space=lambda: self._floors.has_room,
            hostname=names.hostname,
            bounce_domain=names.bounce_domain,
        )

    # -- loops -------------------------------------------------------------------

    def _start_loops(self) -> None:
        self._loop("directory", self.current.step, POLL_SECONDS, limit=15)
        self._loop("floors", self._floors.step, LOOK_SECONDS, limit=15)
        self._loop("tidy", self._tidy, 1.0, limit=60)
        self._loop("share", self._share, 1.0, limit=60)
        self._loop("tls", self._tls.share, STORE_SECONDS, limit=60)
        self._loop("shaping", self._regulate, STEP_SECONDS, limit=60)
        self._loop("memory", self._give_back_memory, 5.0, limit=60)
        for delivery in self.deliveries:
            self._loop(f"dispatch {delivery.shard.number}", delivery.dispatch, 0.05, limit=90)
        self._loops.append(tasks.spawn(self._load(), name="load"))

    def _loop(
        self, name: str, step: Callable[[], Awaitable[bool]], pause: float, *, limit: float
    ) -> None:
        beat = self.health.watch(name, limit)
        endless = tasks.run_forever(
            step, name=name, pause=pause, stop=self.context.stop, on_beat=beat
        )
        self._loops.append(tasks.spawn(endless, name=name))

    async def _load(self) -> None:
        """Find out what waits, while new mail is taken already: a million recipients take seconds."""
        started = clock.monotonic()
        try:
            with memory.for_long():
                for delivery in self.deliveries:
                    self.metrics.requeued.inc(by=await delivery.dispatcher.load())
        except StoreError as error:
            die(f"what waits cannot be read: {error}")
        keys = sum(len(delivery.dispatcher.backlog) for delivery in self.deliveries)
        log.info("the queue is known: %d keys, %.1f s", keys, clock.monotonic() - started)

    async def _tidy(self) -> bool:
        """Drop finished messages, send summaries."""
        spool = self.context.settings.spool
        now = clock.now_ms()
        before = now - max(DONE_GRACE, int(spool.keep_content * clock.SECOND))
        purged = 0
        self._went_back, self._tidied_at = max(self._went_back, self._tidied_at - now), now
        for delivery in self.deliveries:
            await delivery.summarise(now)
            await delivery.results.held.expire(now)
            delivery.operations.census.keep_warm()
            purged += await delivery.shard.call(
                lambda store, batch: store.purge(before, batch.now, PURGE_PAGE)
            )
        if self._went_back > CLOCK_BACK:  # the stores moved what is due later, at their beats
            await self._look_anew(self._went_back)
        self._went_back = 0
        return purged >= PURGE_PAGE

    async def _look_anew(self, back: int) -> None:
        """The clock went back: what is kept in memory until a time of day would wait too long."""
        log.warning(
            "the clock went back by %d s: what waits is looked at anew", back // clock.SECOND
        )
        self.regulator.unreachable.forget()
        self.regulator.throttles.follow_clock(clock.now_ms())
        for delivery in self.deliveries:
            delivery.dispatcher.reopen(lambda _: True)
            await delivery.dispatcher.load()

    async def _regulate(self) -> bool:
        return await self._regulation.step(self.deliveries)

    async def _give_back_memory(self) -> bool:
        await asyncio.to_thread(memory.give_back)
        return False

    async def _share(self) -> bool:
        """Exchange what processes must know of each other: failed logins, last uses."""
        ledger, uses = self._smtp.ledger, self._smtp.uses.drain()
        rebuffs = self._smtp.uses.drain_rebuffs()
        ledger.merge(await LoginFailures(self._engine).add_failures(ledger.drain_deltas()))
        await Credentials(self._engine, self.keys).note_uses(
            Use(credential_id=number, address=use.address, at=use.at)
            for number, use in uses.items()
        )
        signed = (
            Try(credential_id=number, at=use.at, address=use.address, tls=use.tls)
            for number, use in uses.items()
        )
        refused = (
            Try(credential_id=number, at=one.at, sender=one.sender, words=one.words)
            for number, one in rebuffs.items()
        )
        await Tries(self._engine).note_tries([*signed, *refused])
        return False

    def _directory_changed(self) -> None:
        self._observers.directory = self.current()
        for delivery in self.deliveries:
            delivery.directory_changed()

    def _watch(self) -> None:
        """Gauges that are read when somebody asks, and checks of health."""
        watch_process(self.metrics.registry)
        self.metrics.generation.follow(lambda: self.current().generation, "directory")
        deliveries = self.deliveries
        depth = self.metrics.queue_depth
        depth.follow(lambda: sum(d.dispatcher.in_memory for d in deliveries), "ready")
        depth.follow(lambda: sum(len(d.dispatcher.backlog) for d in deliveries), "keys")
        self.metrics.unrecorded.follow(lambda: sum(d.results.outstanding for d in deliveries))
        self.metrics.open_out.follow(lambda: sum(d.sender.connections for d in deliveries))
        self.health.register("room", self._floors.check)
