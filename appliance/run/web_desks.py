"""Desks of the web process: DNS asked now, this machine's files, imports (admin_ui.desks).

Files are read in a thread at each question: they are small, and whoever has just changed one sees it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from admin_ui.desks import Alarms, Configuration, Doors
from appliance.blocklists import file_of, load_lists
from appliance.core import clock, settings_reference, tasks
from appliance.core.dns import Resolver
from appliance.core.errors import NotFoundError, NotRunningError, UsageError
from appliance.core.scope import Scope
from appliance.domains import Domains
from appliance.egress import default_egress
from appliance.jobs import JobState
from appliance.notices import Notices
from appliance.run import blocklist_recheck, domain_notices, domain_recheck, exports
from appliance.run.directory import box_names, queue_life_ms, sending_names
from appliance.run.domain_checks import broken
from appliance.run.sockets import published
from appliance.run.suppression_import import order, parts
from appliance.shaping.file import ShapingFile, places
from mta.warmup.day import zone_of
from mta.warmup.model import OTHER
from mta.warmup.schedule import SHIPPED, load_schedules

LOOK_SECONDS: Final = 1.0
LOOK_EVERY: Final = 5 * clock.SECOND
WATCHED_FOR: Final = 3 * clock.MINUTE  # a page that is open asks again at each look
MOST_WATCHED: Final = 200
_SYSTEM: Final = Scope.system(by="box")

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.blocklists import Blocklist
    from appliance.core.home import Home
    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Settings
    from appliance.domains import DomainRecord
    from appliance.egress import AddressCheck, Egresses, EgressRecord
    from appliance.jobs import Job, Jobs
    from mta.shaping.matching import ShapingBook
    from mta.warmup.schedule import Schedule


class BoxDns:
    """Looks at DNS now."""

    def __init__(
        self, settings: Settings, engine: AsyncEngine, keys: MasterKeys, egresses: Egresses
    ) -> None:
        self._settings, self._engine, self._keys = settings, engine, keys
        self._egresses = egresses
        self._watched: dict[int, int] = {}  # domain -> until when

    async def check_domain(self, scope: Scope, found: DomainRecord) -> DomainRecord:
        """The records of a sending domain; SPF must name every egress that there is at this moment."""
        names = await sending_names(self._settings, self._engine)
        life = queue_life_ms(self._settings)
        domains = Domains(self._engine, self._keys, names, queue_life=life)
        lookup = Resolver(self._settings.dns)
        after = await domains.check(scope, found.name, lookup, tenant_id=found.tenant_id)
        # Said here, too: the worker's next look finds nothing new.
        await domain_notices.tell(Notices(self._engine), after, broken(found, after))
        return after

    def watch(self, domain_id: int) -> int:
        """Somebody has the domain's page open: look by itself for a while."""
        self._watched.pop(domain_id, None)
        if len(self._watched) >= MOST_WATCHED:
            del self._watched[next(iter(self._watched))]
        self._watched[domain_id] = clock.now_ms() + WATCHED_FOR
        return LOOK_EVERY

    async def step(self) -> bool:
        """Look at those whose page is open and that were not looked at just now."""
        now = clock.now_ms()
        self._watched = {one: until for one, until in self._watched.items() if until > now}
        if not self._watched:
            return False
        life = queue_life_ms(self._settings)
        domains = Domains(self._engine, self._keys, box_names(self._settings), queue_life=life)
        for found in await domains.some(_SYSTEM, self._watched):
            if found.checked_at + LOOK_EVERY <= now and not found.is_right:
                await tasks.guard(self.check_domain(_SYSTEM, found), name=f"look at {found.name}")
        return False

    async def check_egress(
        self, scope: Scope, name: str
    ) -> tuple[EgressRecord, tuple[AddressCheck, ...]]:
        """The names of an egress."""
        return await self._egresses.check(scope, name, Resolver(self._settings.dns))


class BoxFiles:
    """What this machine's files say."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self._settings, self._home = settings, home

    @property
    def zone(self) -> tzinfo:
        """Whose midnight begins a day of warmup."""
        return zone_of(self._settings.warmup.timezone)

    @property
    def alarms(self) -> Alarms:
        """Above which shares somebody is told (watch_rates.py)."""
        told = self._settings.notifications
        return Alarms(
            bounced=told.bounce_percent,
            complained=told.complaint_percent,
            least=told.least_messages,
        )

    @property
    def doors(self) -> Doors:
        """Where applications hand over their mail: as the box listens now, else as it is told to."""
        listeners = self._settings.listeners
        places = {"submission": listeners.submission, "submissions": listeners.submissions}
        ports = {name: one.port if one.address else 0 for name, one in places.items()}
        with suppress(NotRunningError):
            ports |= {name: port for name, (_, port) in published(self._home).items()}
        host = box_names(self._settings).hostname
        return Doors(host=host, starttls=ports["submission"], tls=ports["submissions"])

    @property
    def default_egress(self) -> str:
        """The name of the one egress of a box that has configured none."""
        return default_egress(self._settings).name

    @property
    def configuration(self) -> Configuration:
        """The settings with which this process was started."""
        tables = settings_reference.told(self._settings)
        return Configuration(path=self._home.config_file, tables=tables)

    async def schedules(self) -> Mapping[str, Schedule]:
        """Those that come with the box, and the home's own."""
        return await asyncio.to_thread(load_schedules, [SHIPPED, self._home.path / "warmup"])

    async def providers(self) -> frozenset[str]:
        """Receivers that the shaping file names, and "other"."""
        return frozenset(name or OTHER for name in (await self.shaping()).providers)

    async def shaping(self) -> ShapingBook:
        """The file's, or while it has a fault those that come with the box."""
        file = ShapingFile(places(self._settings, self._home))
        return await asyncio.to_thread(file.load_or_shipped)

    async def blocklists(self) -> tuple[Blocklist, ...]:
        """The blocklists that are asked."""
        path = file_of(self._settings.blocklists, self._home)
        return await asyncio.to_thread(load_lists, path)


class BoxExports:
    """Orders jobs that write a file, and finds it."""

    def __init__(self, home: Home, jobs: Jobs, *, asks_blocklists: bool) -> None:
        self._home, self._jobs, self._asks_blocklists = home, jobs, asks_blocklists

    async def order(
        self, scope: Scope, tenant_id: int, what: str, filters: Mapping[str, object]
    ) -> Job:
        """Have it written out."""
        return await self._jobs.order(scope, exports.order(what, filters, tenant_id))

    async def recheck(self, scope: Scope, tenant_id: int) -> Job:
        """Have the DNS records of all domains looked at."""
        return await self._jobs.order(scope, domain_recheck.order(tenant_id))

    async def check_blocklists(self, scope: Scope) -> Job:
        """Have all lists asked about all addresses; the job that does so already, if there is one."""
        if not self._asks_blocklists:
            raise UsageError("no blocklist is asked: blocklists.enabled is off")
        open_ = await self._jobs.list(scope, open_only=True, kind=blocklist_recheck.KIND, limit=1)
        return open_[0] if open_ else await self._jobs.order(scope, blocklist_recheck.order())

    async def blocklist_check(self, scope: Scope) -> Job | None:
        """The last that somebody asked for."""
        found = await self._jobs.list(scope, kind=blocklist_recheck.KIND, limit=1)
        return found[0] if found else None

    def file(self, job: Job) -> Path:
        """What the job wrote."""
        path = exports.file_of(self._home, job)
        if job.kind != exports.KIND or job.state is not JobState.DONE or not path.exists():
            raise NotFoundError(
                f"job {job.id} has no file: it is not done, it writes none, or a week has passed"
            )
        return path


class BoxImports:
    """Orders jobs that read what somebody sent."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def suppressions(self, scope: Scope, tenant_id: int, text: str) -> Job:
        """Have a list of suppressions imported."""
        return await self._jobs.order(scope, order(tenant_id), parts(text.splitlines()))
