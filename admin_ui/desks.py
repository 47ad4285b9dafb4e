"""Desks: what the faces ask of the roof: of other processes, of files of this machine, of DNS.

Rooms know none of these; the roof gives what does (appliance/run/web_queue.py, web_desks.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from appliance.blocklists import Blocklist
from appliance.core.scope import Scope
from appliance.core.settings_reference import ToldTable
from appliance.domains import DomainRecord
from appliance.egress import AddressCheck, EgressRecord, EgressRequest
from appliance.jobs import Job
from mta.scheduling.census import By
from mta.scheduling.changes import Action
from mta.scheduling.why import Why
from mta.shaping.matching import ShapingBook
from mta.warmup.schedule import Schedule

Row = dict[str, Any]
Place = tuple[int, int]


class QueueLook(Protocol):
    """Recipients that a look found, and where the next begins; None: that was all."""

    @property
    def rows(self) -> list[Row]:
        """In order."""

    @property
    def after(self) -> Place | None:
        """A place."""


class QueueDesk(Protocol):
    """The queue, in the processes that own it. A tenant's scope sees and moves its own mail alone.

    Raises NotRunningError when one of them is silent: half a queue must not look like the whole.
    """

    async def summary(self, scope: Scope, by: By, limit: int, kind: Why | None = None) -> Row:
        """What waits, counted (appliance/run/queue_summary.py).

        `kind`: only the groups whose oldest recipient waits for that; the sums are of all the same.
        """

    async def live(self, scope: Scope) -> Row:
        """{accepted_per_s, leaving_per_s, connections, due_next_hour}; of the box None for a tenant."""

    async def traffic(self) -> list[Row]:
        """The box's last two hours: {at, accepted, delivered, deferred, bounced} a second, by the minute.

        Oldest first. Begins with the first minute that every process of the box remembers.
        """

    async def recipients(
        self, scope: Scope, wanted: Mapping[str, object], after: Place, limit: int
    ) -> list[Row]:
        """Waiting and held recipients that match, behind a place, oldest message first."""

    async def look(
        self, scope: Scope, wanted: Mapping[str, object], after: Place, limit: int
    ) -> QueueLook:
        """The same, of a bounded part of the queue: what is rare may need several."""

    async def show(self, scope: Scope, message_id: int) -> Row:
        """A message in the queue with its recipients and events. Raises NotFoundError."""

    async def act(
        self, scope: Scope, message_id: int, action: Action, pool: str = ""
    ) -> Mapping[str, int]:
        """Do it to one message; how many recipients it changed. Raises NotFoundError."""

    async def order(
        self,
        scope: Scope,
        action: Action,
        wanted: Mapping[str, object],
        pool: str = "",
        parts: Sequence[Mapping[str, object]] = (),
    ) -> Job:
        """Have it done to all that match, as one job; `parts`: to what matches one of these too."""

    async def explain(self, domain: str) -> Row:
        """How mail to a domain goes (appliance/run/explain.py)."""


class DnsDesk(Protocol):
    """Looks at DNS now, with nothing remembered from before, and writes down what it saw."""

    async def check_domain(self, scope: Scope, found: DomainRecord) -> DomainRecord:
        """The records of a sending domain; what is right takes effect."""

    def watch(self, domain_id: int) -> int:
        """Somebody has the domain's page open: look by itself for a while. How often, in ms."""

    async def check_egress(
        self, scope: Scope, name: str
    ) -> tuple[EgressRecord, tuple[AddressCheck, ...]]:
        """The names of an egress: how it stands, and what was seen. Raises NotFoundError."""


class EgressDesk(Protocol):
    """Addresses that come, change and go, with what receivers have learned of them."""

    async def create(self, scope: Scope, wanted: EgressRequest) -> EgressRecord:
        """A new egress."""

    async def update(
        self,
        scope: Scope,
        name: str,
        *,
        address: str | None = None,
        address6: str | None = None,
        helo: str | None = None,
        ipv6_forced: bool | None = None,
    ) -> EgressRecord:
        """Change what is given."""

    async def delete(self, scope: Scope, name: str, *, force: bool = False) -> EgressRecord:
        """Forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where applications hand over their mail; a port is 0 where the box does not listen."""

    host: str
    starttls: int
    tls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Shares of a tenant's mail, in per cent, above which somebody is told ([notifications])."""

    bounced: float  # of what was tried
    complained: float  # of what was delivered
    least: int  # recipients below which shares say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the configuration file says, as far as it is in force."""

    path: Path
    tables: tuple[ToldTable, ...]


class Files(Protocol):
    """What this machine's files say, read anew at each question."""

    @property
    def alarms(self) -> Alarms:
        """Above which shares somebody is told."""

    @property
    def zone(self) -> tzinfo:
        """Whose midnight begins a day of warmup."""

    @property
    def doors(self) -> Doors:
        """Where applications hand over their mail."""

    @property
    def default_egress(self) -> str:
        """The name of the one egress of a box that has configured none."""

    @property
    def configuration(self) -> Configuration:
        """The settings with which this process was started; no secret among them."""

    async def schedules(self) -> Mapping[str, Schedule]:
        """Warmup schedules by name."""

    async def providers(self) -> frozenset[str]:
        """Receivers that the shaping file names, and "other"."""

    async def shaping(self) -> ShapingBook:
        """The receivers and the rules that are in force, and the file they come from."""

    async def blocklists(self) -> tuple[Blocklist, ...]:
        """The blocklists that are asked."""


class ExportDesk(Protocol):
    """Long work that writes a file, and the file."""

    async def order(self, scope: Scope, tenant_id: int, what: str, filters: Row) -> Job:
        """Have messages, the queue, suppressions or the audit log written out; of a tenant, or of the box (0)."""

    async def recheck(self, scope: Scope, tenant_id: int) -> Job:
        """Have the DNS records of all domains looked at."""

    async def check_blocklists(self, scope: Scope) -> Job:
        """Have all blocklists asked now; the job that does so already. Raises UsageError when none is asked."""

    async def blocklist_check(self, scope: Scope) -> Job | None:
        """The last that somebody asked for."""

    def file(self, job: Job) -> Path:
        """What the job wrote. Raises NotFoundError before it is done, and when the file is gone."""


class ImportDesk(Protocol):
    """Long work that reads what somebody sent."""

    async def suppressions(self, scope: Scope, tenant_id: int, text: str) -> Job:
        """Have a list of suppressions imported."""


class Topic(StrEnum):
    """What a page may show, as far as a change of it is told. Statistics follow messages."""

    MESSAGES = "messages"
    QUEUE = "queue"
    BOUNCES = "bounces"  # and complaints
    SUPPRESSIONS = "suppressions"
    DOMAINS = "domains"
    CREDENTIALS = "credentials"
    KEYS = "keys"
    WEBHOOKS = "webhooks"  # endpoints and deliveries
    JOBS = "jobs"
    NOTIFICATIONS = "notifications"
    SENDING = "sending"  # the stop of all sending
    TENANTS = "tenants"
    PEOPLE = "people"
    AUDIT = "audit"
    EGRESS = "egress"  # addresses and pools
    WARMUP = "warmup"
    SHAPING = "shaping"
    BLOCKLISTS = "blocklists"
    SERVICES = "services"  # the box's processes


OF_THE_BOX = frozenset(
    {Topic.EGRESS, Topic.WARMUP, Topic.SHAPING, Topic.BLOCKLISTS, Topic.SERVICES}
)
"""What no tenant hears of."""


class Watch(Protocol):
    """What changed for one scope, since it was last asked: topics and nothing else."""

    @property
    def mark(self) -> str:
        """Up to where it has told; for `LiveDesk.watch`."""

    @property
    def is_over(self) -> bool:
        """The process ends: nothing will come any more."""

    async def next(self, timeout: float) -> frozenset[Topic]:
        """What changed; waits until something does, the time is up (nothing), or it is over."""


class LiveDesk(Protocol):
    """Tells who watches what changed; costs next to nothing while nobody does."""

    def now(self) -> str:
        """The mark of this moment: what a page shows that is made after it was asked for is no older."""

    def watch(self, scope: Scope, since: str = "") -> AbstractAsyncContextManager[Watch]:
        """Watch for a scope; "" = only what changes from now on. Raises StoreError.

        What changed after the mark `since` is told at once; everything, if it is not known any more.
        """
