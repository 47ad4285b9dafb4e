"""DirectoryReader: fills the mta's Directory from control.db, and keeps it current.

`poll()` asks nothing while nothing is written (appliance/core/generations.py). Only the parts whose
counter moved are read again; suppressions come as what changed since, and a signing key is decrypted
once. The poll at POLL_SECONDS is what makes a kill switch, pause, revocation or suppression reach every
process within 250 ms, and within about a second where a slow disk keeps a commit back.

A row that cannot be read (a key that does not decrypt, a trusted network of no known tenant) is
logged and left out; the others go on. A store that cannot answer raises StoreError: keep the
Directory that stands and poll again.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock, memory
from appliance.core.control import Part
from appliance.core.errors import SecretError
from appliance.core.generations import Generations
from appliance.core.scope import BOX, Scope
from appliance.core.tasks import in_turns
from appliance.credentials import Credentials, entries
from appliance.domains import BoxNames, Domains, KeyState
from appliance.egress import Egresses, Pools, default_egress, plan_of
from appliance.operations import Operations
from appliance.suppressions import TOMBSTONE_LIFE, Matcher, SuppressionList
from appliance.tenancy import Tenants
from appliance.warmup import Warmups
from mta.directory import (
    Credential,
    Directory,
    DkimKey,
    FromPolicy,
    KillSwitch,
    SendingDomain,
    Tenant,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Settings
    from appliance.domains import DomainKey, DomainRecord
    from mta.directory import Network
    from mta.signing.keys import PrivateKey

POLL_SECONDS: Final = 0.2
_SYSTEM: Final = Scope.system()
_KEY_PAGE: Final = 32  # keys decrypted and loaded between two turns of the loop
_log = logging.getLogger(__name__)


def box_names(settings: Settings) -> BoxNames:
    """The names and addresses of the box, as its configuration gives them."""
    hostname = settings.box.hostname.lower()
    source = settings.delivery.source_address
    return BoxNames(
        hostname=hostname,
        bounce_domain=settings.box.bounce_domain.lower() or f"bounces.{hostname}",
        addresses=(source,) if source else (),
    )


async def sending_names(settings: Settings, engine: AsyncEngine) -> BoxNames:
    """The same, with every address that mail may leave from: what SPF must name."""
    names = box_names(settings)
    found = await Egresses(engine, hostname=names.hostname).list(_SYSTEM)
    addresses = tuple(
        address for one in found for address in (one.address, one.address6) if address
    )
    return replace(names, addresses=addresses or names.addresses)


def queue_life_ms(settings: Settings) -> int:
    """The longest a message may wait; how long an old selector must stay."""
    return int(max(settings.queue.lifetime, settings.queue.bulk_lifetime) * clock.SECOND)


@dataclass(frozen=True, slots=True)
class _LoadedKey:
    """A key in memory, with the state of the row that it was read from."""

    updated_at: int
    key: DkimKey


class DirectoryReader:
    """Makes Directories for one process."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: MasterKeys,
        settings: Settings,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._settings, self._now = settings, now
        self._names = box_names(settings)
        self._tenants = Tenants(engine)
        self._credentials = Credentials(engine, keys)
        self._domains = Domains(engine, keys, self._names, queue_life=queue_life_ms(settings))
        self._operations = Operations(engine)
        self._egresses = Egresses(engine, hostname=self._names.hostname)
        self._pools = Pools(engine, self._tenants, self._credentials)
        self._helos: frozenset[str] = frozenset()
        self._suppressions = SuppressionList(engine)
        self._warmups = Warmups(engine)
        self._generations = Generations(engine)
        self._seen: dict[Part, int] = {}
        self._parts: dict[str, Any] = {}
        self._rows: Mapping[int, Credential] = {}  # credentials with a row, by id
        self._loaded: dict[int, _LoadedKey] = {}
        self._sending: dict[int, SendingDomain] = {}  # by id
        self._matcher: Matcher | None = None
        self._refreshed_at = 0

    async def load(self) -> Directory:
        """Read everything anew. A million suppressions take some seconds."""
        self._seen, self._parts, self._matcher = {}, {}, None
        with memory.for_long():
            found = await self.poll()
        assert found is not None, "nothing was seen, so everything has changed"
        return found

    async def poll(self) -> Directory | None:
        """The Directory as it is now; None when nothing has changed since the last one."""
        current = dict(await self._generations.look())
        moved = {part for part, value in current.items() if self._seen.get(part) != value}
        if not moved:
            return None
        with memory.undisturbed():
            for part in sorted(moved):
                self._parts.update(await self._read(part))
        if Part.TENANTS in moved:
            self._parts["trusted"] = self._trusted()
            self._parts["senders"] = self._senders()
        self._seen = current
        return Directory(generation=sum(current.values()), **self._parts)

    async def _read(self, part: Part) -> Mapping[str, Any]:
        readers: Mapping[Part, Callable[[], Awaitable[Mapping[str, Any]]]] = {
            Part.TENANTS: self._read_tenants,
            Part.CREDENTIALS: self._read_credentials,
            Part.DOMAINS: self._read_domains,
            Part.SUPPRESSIONS: self._read_suppressions,
            Part.OPERATIONS: self._read_operations,
            Part.EGRESS: self._read_egress,
            Part.WARMUP: self._read_warmup,
        }
        read = readers.get(part)  # throttles are read by those who keep them (Part.SHAPING)
        return {} if read is None else await read()

    async def _read_tenants(self) -> Mapping[str, Any]:
        tenants = {BOX: Tenant(id=BOX, name="box")}
        for found in await self._tenants.list(_SYSTEM):
            tenants[found.id] = Tenant(
                id=found.id,
                name=found.name,
                suspended=found.suspended,
                suspended_reason=found.suspended_reason,
                weight=found.weight,
                recipients_per_day=found.recipients_per_day,
                sandbox=found.sandboxed,
            )
        return {"tenants": tenants}

    async def _read_credentials(self) -> Mapping[str, Any]:
        records = await self._credentials.list(_SYSTEM, door=None)
        credentials: dict[str, Credential] = {}
        rows: dict[int, Credential] = {}
        async for found in in_turns(records):
            for one in entries(found):
                rows[one.id] = one
                if one.username:
                    credentials[one.username] = one
        self._rows = rows
        return {"credentials": credentials, "senders": self._senders()}

    async def _read_domains(self) -> Mapping[str, Any]:
        records = await self._domains.list(_SYSTEM)
        signing = {found.id: _signing(found) async for found in in_turns(records)}
        await self._load_keys(signing.values())
        known: Mapping[int, SendingDomain] = self._sending
        self._sending = {}
        domains: dict[str, SendingDomain] = {}
        defaults: dict[int, SendingDomain] = {}
        box: SendingDomain | None = None
        async for found in in_turns(records):
            made = self._sending_domain(found, signing[found.id])
            if made == known.get(made.id):
                made = known[made.id]  # the collector has looked at that one often enough
            self._sending[made.id] = made
            if found.tenant_id == BOX:
                box = made if found.name == self._names.hostname else box
                continue
            if made.verified or made.name not in domains:
                domains[made.name] = made
            if made.is_default:
                defaults[made.tenant_id] = made
        return {
            "domains": domains,
            "default_domains": defaults,
            "box_keys": box,
            "bounce_domains": self._bounce_domains(domains.values()),
            "own_names": self._own_names(),
        }

    async def _read_suppressions(self) -> Mapping[str, Any]:
        """A process that heard nothing for so long may have missed that a suppression went."""
        matcher = self._matcher
        if matcher is None or self._now() - self._refreshed_at > TOMBSTONE_LIFE:
            matcher = Matcher(secrets.token_bytes(32))
        started = self._now()
        await self._suppressions.refresh(matcher)
        self._matcher, self._refreshed_at = matcher, started
        return {"suppressions": matcher}

    async def _read_operations(self) -> Mapping[str, Any]:
        status = await self._operations.kill_status()
        switch = KillSwitch(
            by=status.by,
            at=status.at,
            reason=status.reason,
            stops_own=self._settings.notifications.stop_with_sending,
        )
        return {
            "pauses": await self._operations.pauses(_SYSTEM),
            "kill_switch": switch if status.is_on else None,
        }

    async def _read_egress(self) -> Mapping[str, Any]:
        plan = plan_of(
            await self._egresses.list(_SYSTEM),
            await self._pools.list(_SYSTEM),
            await self._tenants.list(_SYSTEM),
            default=default_egress(self._settings),
        )
        self._helos = frozenset(entry.egress.helo.lower() for entry in plan.entries.values())
        return {"egress": plan, "own_names": self._own_names()}

    async def _read_warmup(self) -> Mapping[str, Any]:
        return {"warmup": await self._warmups.plans()}

    async def _load_keys(self, signing: Iterable[list[DomainKey]]) -> None:
        """Keep the keys that are as they were, load the others in pages."""
        kept: dict[int, _LoadedKey] = {}
        fresh: dict[int, DomainKey] = {}
        async for keys in in_turns(signing):
            for key in keys:
                one = self._loaded.get(key.id)
                if one is not None and one.updated_at == key.updated_at:
                    kept[key.id] = one
                else:
                    fresh[key.id] = key
        self._loaded = kept
        for ids in _pages(sorted(fresh)):
            for key_id, private in (await self._private_keys(ids, fresh)).items():
                key = fresh[key_id]
                loaded = DkimKey(
                    selector=key.selector, algorithm=key.algorithm, private_key=private
                )
                kept[key_id] = _LoadedKey(key.updated_at, loaded)

    async def _private_keys(
        self, ids: list[int], keys: Mapping[int, DomainKey]
    ) -> dict[int, PrivateKey]:
        """Those that can be read; one that cannot is asked for alone, so that it is known by name."""
        try:
            return await self._domains.private_keys(ids)
        except (SecretError, ValueError) as error:
            if len(ids) == 1:
                _log.error("selector %s signs nothing: %s", keys[ids[0]].selector, error)
                return {}
        alone = [await self._private_keys([key_id], keys) for key_id in ids]
        return {key_id: private for found in alone for key_id, private in found.items()}

    def _sending_domain(self, found: DomainRecord, signing: list[DomainKey]) -> SendingDomain:
        loaded = (self._loaded.get(key.id) for key in signing)
        return SendingDomain(
            id=found.id,
            tenant_id=found.tenant_id,
            name=found.name,
            verified=found.verified,
            is_default=found.is_default,
            has_dmarc=found.has_dmarc,
            bounce_domain=found.return_path if found.return_path_verified else "",
            return_path_mode=found.return_path_mode,
            keys=tuple(one.key for one in loaded if one is not None),
        )

    def _bounce_domains(self, domains: Iterable[SendingDomain]) -> frozenset[str]:
        verified = {
            found.bounce_domain for found in domains if found.verified and found.bounce_domain
        }
        return frozenset(verified | {self._names.bounce_domain})

    def _own_names(self) -> frozenset[str]:
        helo = self._settings.delivery.helo.lower()
        return frozenset({self._names.hostname, helo} - {""}) | self._helos

    def _senders(self) -> Mapping[int, Credential]:
        trusted = self._parts.get("trusted", ())
        return {**self._rows, **{one.id: one for _, one in trusted}}

    def _trusted(self) -> tuple[tuple[Network, Credential], ...]:
        by_name = {tenant.name: tenant for tenant in self._parts["tenants"].values()}
        found = []
        for entry in self._settings.submission.trusted_networks:
            tenant = by_name.get(entry.tenant.lower())
            if tenant is None or tenant.id == BOX:
                _log.warning(
                    "submission.trusted_networks: %s may not relay, because no tenant is named %r",
                    entry.network,
                    entry.tenant,
                )
                continue
            network = ipaddress.ip_network(entry.network, strict=False)
            found.append((network, trusted_credential(network, tenant)))
        return tuple(found)


def trusted_credential(network: Network, tenant: Tenant) -> Credential:
    """What a client of a trusted network may do: send from the tenant's verified domains.

    It has no row, because it is configuration. Its id is negative, so that it never meets a row's,
    and made from the network and tenant, so that counters and pauses outlive a restart.
    """
    number = zlib.crc32(f"{network} {tenant.name}".encode())
    return Credential(
        id=-1 - number,
        tenant_id=tenant.id,
        name=f"network {network}",
        username=f"network {network}",
        secret_hash=b"",
        from_policy=FromPolicy.VERIFIED,
        networks=(network,),
    )


def _pages(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + _KEY_PAGE] for start in range(0, len(ids), _KEY_PAGE))


def _signing(found: DomainRecord) -> list[DomainKey]:
    """The keys that sign, RSA first: receivers that know one algorithm only know that one."""
    active = [key for key in found.keys if key.state is KeyState.ACTIVE]
    return sorted(active, key=lambda key: (not key.algorithm.startswith("rsa"), -key.id))
