"""WebRooms: the rooms that the web process opens, with the loops that keep them current."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from admin_ui.rooms import Rooms
from appliance.blocklists import Blocklists
from appliance.core.database import open_engine
from appliance.core.errors import StoreError
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Tries
from appliance.domains import Domains
from appliance.egress import Egresses, Pools
from appliance.history import FreshEvents, LogReader
from appliance.jobs import Jobs
from appliance.keys import KeyBook, Keys, Requests
from appliance.limits import Budgets
from appliance.notices import Notices
from appliance.notifications import Notifications
from appliance.operations import Operations
from appliance.people.desk import open_desk
from appliance.run.carrier import BoxCarrier
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.egress_life import EgressLife
from appliance.run.handover import Handover
from appliance.run.originals import KeptMail
from appliance.run.own_mail import BoxMail
from appliance.run.people import people_options
from appliance.run.pulse import Pulse
from appliance.run.shard_owners import ShardOwners
from appliance.run.waiting_letters import WaitingLetters
from appliance.run.web_desks import LOOK_SECONDS, BoxDns, BoxExports, BoxFiles, BoxImports
from appliance.run.web_queue import BoxQueue
from appliance.run.webhook_sender import client_of, trials_of, webhooks_of
from appliance.sending import Resending, Sending
from appliance.shaping import ThrottleStore
from appliance.statistics import Statistics, prepare
from appliance.suppressions import SuppressionList
from appliance.tenancy import AuditLog, Tenants
from appliance.warmup import Warmups
from mta.warmup.day import zone_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.run.loops import Loops
    from appliance.run.process import Context
    from appliance.run.pulse import Health

_log = logging.getLogger(__name__)

BOOK_SECONDS: Final = 0.2
_NOTE_SECONDS: Final = 15.0
_FORGET_SECONDS: Final = 600.0


class WebRooms:
    """Everything behind the pages and the API."""

    def __init__(self, context: Context, engine: AsyncEngine, health: Health | None = None) -> None:
        self._stop = context.stop
        keys = MasterKeys.load(context.home.keys_file)
        credentials = Credentials(engine, keys)
        api_keys = Keys(engine, keys, credentials)
        settings, home = context.settings, context.home
        names = box_names(settings)
        tenants, jobs, throttles = Tenants(engine), Jobs(engine), ThrottleStore(engine)
        egresses = Egresses(engine, hostname=names.hostname)
        warmups = Warmups(engine, zone_of(settings.warmup.timezone))
        self._counts = home.statistics_location(settings)
        self._counts_engine = open_engine(self._counts)
        self._owners = ShardOwners(context.home, context.processes)
        self._carrier = BoxCarrier(context.home, context.processes, self._owners)
        audit, log = AuditLog(engine), LogReader(settings.database.url or home.log_dir)
        self._handover = Handover(context.home.socket("mta-0"))
        self._webhook_client = client_of(settings)
        post = BoxMail(settings.box.hostname, self._handover)
        people = open_desk(engine, keys, people_options(settings, _port(context)), post)
        self._letters = WaitingLetters(home.path / "letters", keys)
        suppressions = SuppressionList(engine)
        self._dns = BoxDns(settings, engine, keys, egresses)
        fresh = FreshEvents(settings.database.url or home.log_dir)
        self._pulse = Pulse(engine, suppressions, fresh, health)
        self.rooms = Rooms(
            audit=audit,
            blocklists=Blocklists(engine),
            book=KeyBook(engine, api_keys, keys),
            budgets=Budgets(engine),
            credentials=credentials,
            dns=self._dns,
            domains=Domains(engine, keys, names, queue_life=queue_life_ms(settings)),
            egress_life=EgressLife(egresses, warmups, throttles),
            egresses=egresses,
            exports=BoxExports(home, jobs, asks_blocklists=settings.blocklists.enabled),
            files=BoxFiles(settings, home),
            imports=BoxImports(jobs),
            jobs=jobs,
            keys=api_keys,
            live=self._pulse,
            log=log,
            notifications=Notifications(engine, Notices(engine)),
            operations=Operations(engine),
            people=people,
            pools=Pools(engine, tenants, credentials),
            queue=BoxQueue(self._owners, jobs),
            requests=Requests(engine),
            resending=Resending(KeptMail(log, self._owners), self._carrier, audit),
            sending=Sending(self._carrier),
            sessions=people.sessions,
            statistics=Statistics(self._counts_engine),
            suppressions=suppressions,
            tenants=tenants,
            tries=Tries(engine),
            throttles=throttles,
            warmups=warmups,
            webhook_trials=trials_of(settings, engine, keys, self._webhook_client),
            webhooks=webhooks_of(settings, engine, keys),
        )

    async def start(self, loops: Loops) -> None:
        """Read what is kept in memory, and keep it current."""
        book = self.rooms.book
        await book.step()
        await self._prepare_counts()
        await self.rooms.people.letters.resume(self._letters)
        self._pulse.start(loops, self._stop)
        loops.start("domain looks", self._dns.step, pause=LOOK_SECONDS, limit=120)
        loops.start("keys", book.step, pause=BOOK_SECONDS, limit=30)
        loops.start("key uses", book.note, pause=_NOTE_SECONDS, limit=300)
        loops.start("requests", self._forget, pause=_FORGET_SECONDS, limit=2 * _FORGET_SECONDS)

    async def close(self) -> None:
        """Hang up, once the letters are sent that somebody was promised."""
        await self.rooms.people.letters.settle()
        await self._pulse.close()
        await asyncio.to_thread(self.rooms.log.close)
        await self._counts_engine.dispose()
        self._webhook_client.close()
        await self._handover.close()
        await self._carrier.close()
        await self._owners.close()

    async def _prepare_counts(self) -> None:
        """Statistics that cannot be read keep nothing else from the people."""
        try:
            await asyncio.to_thread(prepare, self._counts)
        except StoreError as error:
            _log.warning("statistics cannot be read: %s", error)

    async def _forget(self) -> bool:
        await self.rooms.requests.forget()
        return False


def _port(context: Context) -> int:
    """Where the console listens, also when the system chose it."""
    sock = context.sockets.get("web")
    return int(sock.getsockname()[1]) if sock is not None else 0
