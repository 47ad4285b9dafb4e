"""The inbound process: port 25 of the box, for what comes back and for its postmaster.

Wiring only. The listener keeps notices on disk and says 250; a loop reads them and hands what they
mean to the processes that own the messages. The two know of each other only through the folder, so
either may be restarted at any moment. Without an inbound socket only what lies there is read.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

from appliance.core import clock, ids
from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.history import LogReader
from appliance.run.current import Current
from appliance.run.delivery import return_path_keys
from appliance.run.descriptors import sessions_that_fit
from appliance.run.directory import POLL_SECONDS, DirectoryReader, box_names
from appliance.run.floors import LOOK_SECONDS, Floors
from appliance.run.handover import Handover
from appliance.run.loops import Loops
from appliance.run.originals import SentMail
from appliance.run.postmaster import Postmaster
from appliance.run.shard_owners import ShardOwners
from appliance.run.smtp import CLOCK_SECONDS, ListenerMetrics, context_for
from mta.bounce.addresses import Why
from mta.bounce.apply import Applier, Collaborators
from mta.bounce.dropbox import Dropbox
from mta.bounce.listener import Desk
from mta.bounce.rate import Rate
from mta.submission.listener import Listener, drain
from mta.submission.login import network_of
from mta.submission.room import Room
from mta.submission.service import Limits, Service, TlsMode
from mta.submission.sessions import Sessions

if TYPE_CHECKING:
    from appliance.core.metrics import Metrics
    from appliance.run.process import Context
    from mta.bounce.news import News, Result

log = logging.getLogger(__name__)

MAX_RECIPIENTS: Final = 100  # RFC 5321 4.5.3.1.8
IDLE_SECONDS: Final = 300.0  # RFC 5321 4.5.3.2.7
SESSION_SECONDS: Final = 1800.0
_COMMANDS_A_NOTICE: Final = 10
_MESSAGES_AT_ONCE: Final = 4  # of the largest size, in memory
_READ_PAUSE: Final = 0.5
_TIDY_PAUSE: Final = 600.0
_FORGET_AT_ONCE: Final = 1000
_TELL_SECONDS: Final = 30.0


class InboundMetrics:
    """What is refused and what was read, counted."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def not_ours(self, why: Why) -> None:
        """A recipient was refused."""
        if why is Why.FOREIGN:
            self._metrics.relay_refused.inc()
        else:
            self._metrics.bounces_in.inc(why)

    def read(self, result: Result) -> None:
        """A finding."""
        self._metrics.bounces_in.inc(result)

    def complained(self, reporter: str) -> None:
        """A complaint."""
        self._metrics.complaints.inc(reporter.partition("/")[0][:60] or "unknown")


async def main(context: Context) -> None:
    """Run until told to stop, then drain."""
    settings = context.settings
    engine = open_engine(context.home.control_location(settings))
    keys = MasterKeys.load(context.home.keys_file)
    current = await Current.load(DirectoryReader(engine, keys, settings))
    inbound = Inbound(context, current, keys)
    try:
        await inbound.start()
        log.info("%s is ready (pid %d)", context.name, os.getpid())
        await context.stop.wait()
        await inbound.drain()
    finally:
        await inbound.close()
        await engine.dispose()


class Inbound:
    """Everything of the process."""

    def __init__(self, context: Context, current: Current, keys: MasterKeys) -> None:
        settings, home = context.settings, context.home
        self._context, self._current = context, current
        self._loops = Loops(context)
        self._metrics = InboundMetrics(self._loops.metrics)
        self._keys = return_path_keys(keys)
        at_once = max(_MESSAGES_AT_ONCE * settings.inbound.max_message_bytes, 64 << 20)
        # Strangers fill this folder: never so far that the box's own senders hear 452 for it.
        min_free = settings.spool.min_free_bytes + at_once
        self._dropbox = Dropbox(home.inbound_dir, min_free=min_free)
        self._owners = ShardOwners(home, context.processes)
        self._handover = Handover(home.socket("mta-0"))
        self._reader = LogReader(settings.database.url or home.log_dir)
        limits = settings.inbound
        self.sessions = Sessions(
            limit=sessions_that_fit(limits.max_sessions, 0),
            per_address=limits.max_sessions_per_address,
            barren=limits.max_barren_connections_per_minute,
        )
        self._room = Room(at_once)
        self._floors = Floors.of(context, self._room)
        self._listeners = [
            Listener(self._service(), [sock])
            for name, sock in context.sockets.items()
            if name == "inbound"
        ]

    async def start(self) -> None:
        """Answer, read, listen."""
        drafts = self._dropbox.drop_drafts()
        if drafts:
            log.info("%d notices were not whole when the last process died: dropped", drafts)
        self._loops.metrics.generation.follow(lambda: self._current().generation, "directory")
        self._loops.metrics.open_in.follow(lambda: self.sessions.open, "inbound")
        await self._loops.listen()
        self._loops.start("directory", self._current.step, pause=POLL_SECONDS, limit=15)
        self._loops.start("notices", self._applier().step, pause=_READ_PAUSE, limit=120)
        self._floors.look()
        self._loops.start("floors", self._floors.step, pause=LOOK_SECONDS, limit=15)
        self._loops.start("tidy", self._tidy, pause=_TIDY_PAUSE, limit=3 * _TIDY_PAUSE)
        self.sessions.start_clock(CLOCK_SECONDS)
        for listener in self._listeners:
            await listener.start()

    async def drain(self) -> None:
        """Let clients finish the notice they are sending."""
        limit = self._context.settings.processes.drain_timeout
        await drain(self._listeners, self.sessions, limit)

    async def close(self) -> None:
        """Let everything go."""
        self.sessions.stop_clock()
        for listener in self._listeners:
            listener.stop()
        await self._loops.close()
        await self._handover.close()
        await self._owners.close()
        await asyncio.to_thread(self._reader.close)

    # -- wiring ----------------------------------------------------------------------------------

    def _service(self) -> Service:
        settings = self._context.settings
        limits, mode = settings.inbound, TlsMode(settings.listeners.inbound.tls)
        desk = Desk(
            directory=self._current,
            keys=self._keys,
            dropbox=self._dropbox,
            rate=Rate(limits.max_messages_per_minute_per_address, network_of),
            observer=self._metrics,
        )
        return Service(
            hostname=box_names(settings).hostname,
            make_handler=desk.session_of,
            limits=Limits(
                max_message_bytes=limits.max_message_bytes,
                max_recipients=MAX_RECIPIENTS,
                max_messages=limits.max_messages_per_minute_per_address,
                max_commands_per_minute=_COMMANDS_A_NOTICE
                * limits.max_messages_per_minute_per_address,
                idle_timeout=IDLE_SECONDS,
                session_timeout=SESSION_SECONDS,
            ),
            sessions=self.sessions,
            room=self._room,
            tls=mode,
            tls_context=context_for(self._context, mode),
            offers_auth=False,
            normalise_line_ends=limits.normalise_line_ends,
            observer=ListenerMetrics(self._loops.metrics, "inbound"),
        )

    def _applier(self) -> Applier:
        address = self._context.settings.box.postmaster
        return Applier(
            Collaborators(
                dropbox=self._dropbox,
                originals=SentMail(self._reader, self._owners),
                keys=self._keys,
                tell=self._tell,
                forward=Postmaster(address, self._handover, self._current),
                observer=self._metrics,
            )
        )

    async def _tell(self, news: News) -> None:
        """Returns after the owner's commit."""
        original = news.original
        payload = {
            "message_id": original.message_id,
            "n": original.n,
            "kind": news.kind,
            "data": news.data,
        }
        shard = ids.shard_of(original.message_id)
        await self._owners.call(shard, "late", payload, _TELL_SECONDS)

    async def _tidy(self) -> bool:
        """Forget notices that were read long ago."""
        before = clock.now_ms() - self._context.settings.inbound.keep_days * clock.DAY
        gone = await asyncio.to_thread(self._dropbox.forget, before, _FORGET_AT_ONCE)
        return gone >= _FORGET_AT_ONCE
