"""Rooms: the services of the rooms over one engine, and finding records by the names people type.

A service is made when it is first asked for. A name that fits several records is refused with words
that say how to tell them apart; it never picks one.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import BOX, Scope
from appliance.tenancy import AuditLog, Tenants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.blocklists import Blocklists
    from appliance.core.secrets import MasterKeys
    from appliance.credentials import CredentialRecord, Credentials
    from appliance.domains import BoxNames, DomainRecord, Domains
    from appliance.egress import Egresses, Pools
    from appliance.jobs import Jobs
    from appliance.keys import Keys
    from appliance.limits import Budgets
    from appliance.notices import Notices
    from appliance.operations import Operations
    from appliance.people.desk import Desk
    from appliance.run.blocklist_checks import BlocklistChecks
    from appliance.run.cli.box import Box
    from appliance.run.egress_drainer import BoxDrainer
    from appliance.run.egress_life import EgressLife
    from appliance.shaping import ThrottleStore
    from appliance.suppressions import SuppressionList
    from appliance.warmup import Warmups
    from appliance.webhooks import Trials, Webhooks


class Rooms:
    """What the box does for its tenants, for the person at the terminal."""

    def __init__(self, box: Box, engine: AsyncEngine) -> None:
        self._box, self._engine = box, engine
        self.scope = Scope.system(by=box.by)

    @cached_property
    def tenants(self) -> Tenants:
        """Tenants."""
        return Tenants(self._engine)

    @cached_property
    def audit(self) -> AuditLog:
        """Who changed what."""
        return AuditLog(self._engine)

    @cached_property
    def credentials(self) -> Credentials:
        """SMTP logins."""
        from appliance.credentials import Credentials

        return Credentials(self._engine, self._keys)

    @cached_property
    def keys(self) -> Keys:
        """Keys of the API."""
        from appliance.keys import Keys

        return Keys(self._engine, self._keys, self.credentials)

    @cached_property
    def people(self) -> Desk:
        """Those who sign in; their letters go through the running box."""
        from appliance.people.desk import open_desk
        from appliance.run.own_mail import BoxMail, at_once
        from appliance.run.people import people_options

        settings = self._box.settings
        letters = BoxMail(settings.box.hostname, at_once(self._box.home.socket("mta-0")))
        return open_desk(self._engine, self._keys, people_options(settings, self._port), letters)

    @property
    def engine(self) -> AsyncEngine:
        """For what is done once, without a room's service."""
        return self._engine

    @property
    def public_url(self) -> str:
        """Where browsers reach the console."""
        from appliance.run.people import public_url

        return public_url(self._box.settings, self._port)

    @cached_property
    def _port(self) -> int:
        """Of the console as it listens now; 0 when it does not."""
        from appliance.core.errors import NotRunningError
        from appliance.run.sockets import published

        try:
            return published(self._box.home)["web"][1]
        except (NotRunningError, KeyError):
            return 0

    @cached_property
    def domains(self) -> Domains:
        """Sending domains."""
        from appliance.domains import Domains
        from appliance.run.directory import queue_life_ms

        life = queue_life_ms(self._box.settings)
        return Domains(self._engine, self._keys, self.box_names, queue_life=life)

    @cached_property
    def suppressions(self) -> SuppressionList:
        """Suppressions."""
        from appliance.suppressions import SuppressionList

        return SuppressionList(self._engine)

    @cached_property
    def egresses(self) -> Egresses:
        """Addresses that mail leaves from."""
        from appliance.egress import Egresses

        return Egresses(self._engine, hostname=self.box_names.hostname)

    @cached_property
    def egress_life(self) -> EgressLife:
        """Addresses that come, change and go, with what hangs on them."""
        from appliance.run.egress_life import EgressLife

        return EgressLife(self.egresses, self.warmups, self.throttles)

    @cached_property
    def pools(self) -> Pools:
        """Groups of such addresses."""
        from appliance.egress import Pools

        return Pools(self._engine, self.tenants, self.credentials)

    @cached_property
    def warmups(self) -> Warmups:
        """How far addresses are warmed up."""
        from appliance.warmup import Warmups
        from mta.warmup.day import zone_of

        return Warmups(self._engine, zone_of(self._box.settings.warmup.timezone))

    @cached_property
    def budgets(self) -> Budgets:
        """What all processes together have used."""
        from appliance.limits import Budgets

        return Budgets(self._engine)

    @cached_property
    def blocklists(self) -> Blocklists:
        """Who is listed where."""
        from appliance.blocklists import Blocklists

        return Blocklists(self._engine)

    @cached_property
    def blocklist_checks(self) -> BlocklistChecks:
        """The look at blocklists that the worker takes every hour."""
        from appliance.run.blocklist_checks import box_checks

        return box_checks(self._box.settings, self._box.home, self._engine, self.drainer)

    @cached_property
    def drainer(self) -> BoxDrainer:
        """Holds egresses back for a check, as the person at the terminal."""
        from appliance.egress import default_egress
        from appliance.run.egress_drainer import BoxDrainer

        default = default_egress(self._box.settings)
        return BoxDrainer(self.egresses, self.pools, default, self.scope)

    @cached_property
    def notices(self) -> Notices:
        """What somebody should know."""
        from appliance.notices import Notices

        return Notices(self._engine)

    @cached_property
    def jobs(self) -> Jobs:
        """Long work that nobody waits for."""
        from appliance.jobs import Jobs

        return Jobs(self._engine)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Endpoints that are told what became of mail."""
        from appliance.run.webhook_sender import webhooks_of

        return webhooks_of(self._box.settings, self._engine, self._keys)

    @contextmanager
    def webhook_trials(self) -> Iterator[Trials]:
        """Tests and replays of endpoints by hand."""
        from appliance.run.webhook_sender import client_of, trials_of

        client = client_of(self._box.settings)
        try:
            yield trials_of(self._box.settings, self._engine, self._keys, client)
        finally:
            client.close()

    @cached_property
    def operations(self) -> Operations:
        """Kill switch and pauses."""
        from appliance.operations import Operations

        return Operations(self._engine)

    async def know_addresses(self) -> None:
        """Before records of domains are made or judged: SPF names every egress address."""
        from appliance.run.directory import sending_names

        self.__dict__["box_names"] = await sending_names(self._box.settings, self._engine)

    @cached_property
    def throttles(self) -> ThrottleStore:
        """What receivers' answers have changed."""
        from appliance.shaping import ThrottleStore

        return ThrottleStore(self._engine)

    @cached_property
    def box_names(self) -> BoxNames:
        """What records of domains point to."""
        from appliance.run.directory import box_names

        return box_names(self._box.settings)

    @cached_property
    def _keys(self) -> MasterKeys:
        from appliance.core.secrets import MasterKeys

        return MasterKeys.load(self._box.home.keys_file)

    async def tenant_names(self) -> dict[int, str]:
        """Names by id, the box's own included."""
        found = await self.tenants.list(self.scope)
        return {BOX: "box"} | {tenant.id: tenant.name for tenant in found}

    async def tenant_id(self, name: str | None) -> int:
        """The id of a tenant's name; 0 when none was given."""
        return (await self.tenants.get(self.scope, name)).id if name else 0

    async def scope_of(self, tenant: str | None) -> Scope:
        """One tenant's own view; the box's own rows without a tenant."""
        # Scope.tenant() refuses the box, so that no program gets there by a forgotten id.
        return Scope(await self.tenant_id(tenant), self._box.by)

    async def domain(self, name: str, tenant: str | None = None) -> DomainRecord:
        """A domain by name, in the tenant if one is named. Raises NotFoundError or ConflictError."""
        from appliance.domains.rules import checked_name

        wanted, owner = checked_name(name), await self.tenant_id(tenant)
        found = [
            domain
            for domain in await self.domains.list(self.scope)
            if domain.name == wanted and owner in (0, domain.tenant_id)
        ]
        if not found:
            raise NotFoundError(f"no domain {wanted} is here: `pillarbox domain list` shows them")
        if len(found) > 1:
            raise ConflictError(f"several tenants claim {wanted}: say which with --tenant")
        return found[0]

    async def credential(self, name: str, tenant: str | None = None) -> CredentialRecord:
        """A credential by id, name or user name; a revoked one only by id."""
        owner, wanted = await self.tenant_id(tenant), name.strip().lower()
        every = await self.credentials.list(self.scope)
        return _the_one(
            [
                one
                for one in every
                if owner in (0, one.tenant_id)
                and (wanted == str(one.id) or (not one.revoked_at and wanted in _names(one)))
            ],
            name,
        )


def _names(one: CredentialRecord) -> tuple[str, ...]:
    return one.name, *(login.username.lower() for login in one.logins)


def _the_one(found: Sequence[CredentialRecord], name: str) -> CredentialRecord:
    if not found:
        raise NotFoundError(
            f"no credential is named {name!r}: `pillarbox credential list` shows them"
        )
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise ConflictError(
            f"{name!r} is the name of several credentials: give --tenant, or one of the ids {ids}"
        )
    return found[0]
