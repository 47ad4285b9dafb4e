"""Delivery: one shard with everything that serves it, wired together."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.run.process import Context, die
from appliance.run.spools import backend_of, lock_file, prepare
from mta.bounce import return_path
from mta.bounce.notices import Notices
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import Recorder
from mta.scheduling.dispatcher import Dispatcher
from mta.scheduling.operations import Operations
from mta.scheduling.results import Results
from mta.scheduling.sender import Limits, Sender
from mta.scheduling.window import Window
from mta.signing.signer import Signer
from mta.spool.shard import Shard

if TYPE_CHECKING:
    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Queue
    from appliance.run.current import Current
    from appliance.run.observers import Observers
    from mta.message import Message
    from mta.scheduling.regulator import Regulator
    from mta.transport.base import Router, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all shards of a process share."""

    context: Context
    current: Current
    observers: Observers
    router: Router
    transport: Transport
    regulator: Regulator
    schedule: RetrySchedule
    return_paths: return_path.ReturnPathKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A shard at work."""

    shard: Shard
    signer: Signer
    dispatcher: Dispatcher
    sender: Sender
    results: Results
    operations: Operations
    notices: Notices

    async def summarise(self, now: int) -> None:
        """Send the summaries of notices that are due."""
        for admitted in self.notices.summaries(now):
            await self.shard.accept(admitted)
            self.dispatcher.fresh(admitted.message, list(admitted.recipients), admitted.content)

    def reshaped(self) -> None:
        """Throttles or limits moved: look at what they kept back, and at lanes that may go faster."""
        self.dispatcher.reshaped()
        self.sender.rouse_all()

    def directory_changed(self) -> None:
        """Look at everything that was kept back."""
        self.dispatcher.directory_changed()
        self.sender.directory_changed()

    async def dispatch(self) -> bool:
        """One turn of the dispatch loop: read what is due, else sleep until there is news."""
        if not await self.dispatcher.step():
            await self.dispatcher.wait()
        return True

    async def drain(self) -> None:
        """Finish the transactions that run, begin no others."""
        self.dispatcher.stop()
        await self.sender.drain()

    async def close(self) -> None:
        """Write what is queued and let the shard go."""
        await self.shard.close()
        await asyncio.to_thread(self.signer.stop)


async def open_delivery(number: int, tools: Tools) -> Delivery:
    """Take a shard over. Raises ConflictError when it has a living owner."""
    shard = await _open_shard(number, tools)
    settings, current = tools.context.settings, tools.current
    queue = settings.queue
    window = Window(max_recipients=queue.ready_recipients, max_bytes=queue.ready_bytes)
    signer = Signer(tools.current)
    dispatcher = Dispatcher(
        shard=shard,
        router=tools.router,
        regulator=tools.regulator,
        directory=current,
        window=window,
        overflows=bool(settings.delivery.smarthost.host)
        and settings.delivery.smarthost.use == "overflow",
    )
    notices = Notices(
        shard=shard,
        directory=current,
        schedule=tools.schedule,
        hostname=settings.box.hostname.lower(),
        per_hour=max(1, queue.notices_per_hour // tools.context.mta_processes),
    )
    results = Results(
        shard=shard,
        dispatcher=dispatcher,
        recorder=Recorder(tools.schedule, random.random),
        window=window,
        notices=notices,
        observer=tools.observers,
        regulator=tools.regulator,
    )
    dispatcher.results = results
    dispatcher.sender = sender = _sender(shard, signer, dispatcher, window, results, tools)
    return Delivery(
        shard=shard,
        signer=signer,
        dispatcher=dispatcher,
        sender=sender,
        results=results,
        operations=Operations(shard=shard, dispatcher=dispatcher, window=window, directory=current),
        notices=notices,
    )


async def _open_shard(number: int, tools: Tools) -> Shard:
    home, settings = tools.context.home, tools.context.settings
    return await Shard.open(
        backend_of(home, settings, number),
        number,
        on_fatal=lambda: die(f"shard {number} is lost: this process starts anew"),
        observer=tools.observers,
        lock=lock_file(home, number),
        prepare=partial(prepare, home, settings, number),
        keeps_content=settings.spool.keep_content > 0,
    )


def _sender(
    shard: Shard,
    signer: Signer,
    dispatcher: Dispatcher,
    window: Window,
    results: Results,
    tools: Tools,
) -> Sender:
    delivery = tools.context.settings.delivery

    def envelope_sender(message: Message, n: int | None) -> str:
        if not message.envelope_from:
            return ""  # what came with the null return path leaves with it: no bounces of bounces
        local = return_path.encode(tools.return_paths, message.id, n)
        return f"{local}@{message.bounce_domain}"

    return Sender(
        shard=shard,
        dispatcher=dispatcher,
        transport=tools.transport,
        results=results,
        window=window,
        directory=tools.current,
        return_path=envelope_sender,
        sign=signer,
        regulator=tools.regulator,
        limits=Limits(
            max_connections=delivery.max_connections,
            idle_timeout=delivery.idle_timeout,
        ),
    )


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
