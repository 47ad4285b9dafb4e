"""Use cases of domains: create, list, records, check, rotate, import a key, remove; the box's own.

A check talks to DNS without a transaction open, then writes what it saw at once. A rotated key
signs only after a check has seen its record, so that no receiver ever misses it; the old selector
stays published until everything it signed has left the queue, and seven days more (MTA-7).
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from appliance.core import clock
from appliance.core.control import Change, Part, change
from appliance.core.database import reading
from appliance.core.errors import ConflictError, UsageError
from appliance.core.scope import BOX, Scope, scoped
from appliance.domains import rules, store
from appliance.domains.check import check_domain
from appliance.domains.model import CheckState, DomainRecord, KeyState, Report
from appliance.domains.records import records_of
from appliance.domains.tables import domain, domain_key
from appliance.tenancy import record
from mta.signing import keys as signing_keys
from mta.signing.dns_records import RETURN_PATH_LABEL, RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.domains.check import Lookup
    from appliance.domains.model import BoxNames
    from mta.signing.dns_records import DnsRecord
    from mta.signing.keys import PrivateKey


class Vault(Protocol):
    """Encrypts what is stored (appliance.core.secrets.MasterKeys)."""

    def encrypt(self, plaintext: bytes, *, bound_to: str) -> str:
        """For one place."""

    def decrypt(self, text: str, *, bound_to: str) -> bytes:
        """What was encrypted for that place."""


class Domains:
    """The sending domains of all tenants and of the box."""

    def __init__(
        self,
        engine: AsyncEngine,
        vault: Vault,
        box: BoxNames,
        *,
        queue_life: int,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._engine, self._vault, self._box = engine, vault, box
        self._queue_life, self._now = queue_life, now

    async def create(
        self, scope: Scope, *, tenant_id: int, name: str, assume_verified: bool = False
    ) -> DomainRecord:
        """Claim a domain and make its keys; the tenant's first one becomes its default.

        `assume_verified` skips the proof: for the box's admin, in a laboratory or a closed network.
        """
        owner = scope.owner(tenant_id)
        if assume_verified and not scope.is_system:
            raise UsageError("only the box's admin may take a domain as verified without proof")
        wanted = rules.checked_name(name)
        pair = await _make_pair()
        try:
            async with change(self._engine, Part.DOMAINS) as changed:
                if assume_verified:
                    await self._allow(changed, wanted, owner)
                verified_at = self._now() if assume_verified else 0
                return await self._insert(changed, scope, owner, wanted, pair, verified_at)
        except IntegrityError as error:
            raise ConflictError(f"the tenant has {wanted} already") from error

    async def ensure_box(self, scope: Scope) -> DomainRecord:
        """The box's own domain, which signs its notices; made at the first call."""
        name = self._box.hostname
        wanted = select(domain).where(domain.c.name == name, domain.c.tenant_id == BOX)
        async with reading(self._engine) as connection:
            found = await store.load(connection, scope, wanted)
        if found:
            return found[0]
        pair = await _make_pair()
        async with change(self._engine, Part.DOMAINS) as changed:
            found = await store.load(changed.connection, scope, wanted)
            if found:  # another process was faster
                return found[0]
            return await self._insert(changed, scope, BOX, name, pair, self._now())

    async def list(self, scope: Scope) -> tuple[DomainRecord, ...]:
        """The domains the scope sees, by name; the system sees the box's own too."""
        async with reading(self._engine) as connection:
            return await store.load(connection, scope)

    async def get(self, scope: Scope, name: str, *, tenant_id: int | None = None) -> DomainRecord:
        """One domain. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await store.get(
                connection, scope, rules.checked_name(name), scope.owner(tenant_id)
            )

    def records(self, found: DomainRecord, existing_spf: str = "") -> tuple[DnsRecord, ...]:
        """What its owner has to publish."""
        return records_of(found, self._box, existing_spf)

    async def check(
        self, scope: Scope, name: str, lookup: Lookup, *, tenant_id: int | None = None
    ) -> DomainRecord:
        """Look at its DNS records; ownership, return path and new selectors take effect at once."""
        found = await self.get(scope, name, tenant_id=tenant_id)
        report = await check_domain(found, self._box, lookup, self._now())
        async with change(self._engine, Part.DOMAINS) as changed:
            current = await store.get(changed.connection, scope, found.name, found.tenant_id)
            await self._apply(changed, scope, current, report)
            return await store.get(changed.connection, scope, found.name, found.tenant_id)

    async def rotate(
        self, scope: Scope, name: str, *, tenant_id: int | None = None
    ) -> DomainRecord:
        """Make new selectors, which begin to sign when a check has seen their records."""
        pair = await _make_pair()
        async with self._changing(scope, name, tenant_id) as (changed, found):
            if any(key.state is KeyState.PENDING for key in found.keys):
                raise ConflictError(
                    f"{found.name} has new selectors that wait for their records:"
                    f" publish them, then `pillarbox domain check {found.name}`"
                )
            selectors = rules.next_selectors(key.selector for key in found.keys)
            for selector, key in zip(selectors, pair, strict=True):
                await self._insert_key(changed, found, selector, key, KeyState.PENDING)
            await self._audit(changed, scope, found, "domain.rotate", " ".join(selectors))
            return await store.get(changed.connection, scope, found.name, found.tenant_id)

    async def import_key(
        self, scope: Scope, name: str, *, selector: str, pem: bytes, tenant_id: int | None = None
    ) -> DomainRecord:
        """Take over a key made elsewhere. It signs when a check has seen its record."""
        wanted = rules.checked_selector(selector)
        key = await asyncio.to_thread(signing_keys.import_pem, pem)
        try:
            async with self._changing(scope, name, tenant_id) as (changed, found):
                await self._insert_key(changed, found, wanted, key, KeyState.PENDING)
                await self._audit(changed, scope, found, "domain.import-key", wanted)
                return await store.get(changed.connection, scope, found.name, found.tenant_id)
        except IntegrityError as error:
            raise ConflictError(f"the selector {wanted} is in use: choose another one") from error
