"""Use cases of domains: create, list, records, check, rotate, import a key, remove; the box's own.

A check talks to DNS without a transaction open, then writes what it saw at once. A rotated key
signs only after a check has seen its record, so that no receiver ever misses it; the old selector
stays published until everything it signed has left the queue, and seven days more (MTA-7).
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from appliance.core import clock
from appliance.core.control import Change, Part, change, move
from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.domains import rules, store
from appliance.domains.check import check_domain
from appliance.domains.model import CheckState, DomainRecord, KeyState, Report
from appliance.domains.records import records_of, records_of_box
from appliance.domains.tables import domain, domain_key
from appliance.tenancy import Act, record
from mta.signing import keys as signing_keys
from mta.signing.dns_records import RETURN_PATH_LABEL, RecordKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.domains.check import Lookup
    from appliance.domains.model import BoxNames
    from mta.message import ReturnPathMode
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

    async def page(
        self, scope: Scope, *, after: int = 0, limit: int = 100, prefix: str = ""
    ) -> tuple[DomainRecord, ...]:
        """Domains that the scope sees with ids above `after`, in their order; `prefix`: of a name."""
        async with reading(self._engine) as connection:
            return await store.page(connection, scope, after, limit, prefix.strip().lower())

    async def some(self, scope: Scope, ids: Iterable[int]) -> tuple[DomainRecord, ...]:
        """Those of these that the scope sees."""
        wanted = select(domain).where(domain.c.id.in_(sorted(ids)))
        async with reading(self._engine) as connection:
            return await store.load(connection, scope, wanted)

    async def counts(self, scope: Scope) -> tuple[int, int]:
        """How many domains the scope sees, and how many of them are verified."""
        async with reading(self._engine) as connection:
            return await store.counts(connection, scope)

    async def by_id(self, scope: Scope, domain_id: int) -> DomainRecord:
        """One domain by its id: of a name several tenants may have one. Raises NotFoundError."""
        found = await self.page(scope, after=domain_id - 1, limit=1)
        if not found or found[0].id != domain_id:
            raise NotFoundError(f"no domain has the id {domain_id}")
        return found[0]

    async def get(self, scope: Scope, name: str, *, tenant_id: int | None = None) -> DomainRecord:
        """One domain. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await store.get(
                connection, scope, rules.checked_name(name), scope.owner(tenant_id)
            )

    def records(self, found: DomainRecord, existing_spf: str = "") -> tuple[DnsRecord, ...]:
        """What its owner has to publish; for the box's own domain, what its admin has to.

        The SPF record is what the last check found with the box added: a domain may have only one.
        """
        if found.tenant_id == BOX:
            return records_of_box(found, self._box)
        return records_of(found, self._box, existing_spf or rules.published_spf(found))

    async def check(
        self, scope: Scope, name: str, lookup: Lookup, *, tenant_id: int | None = None
    ) -> DomainRecord:
        """Look at its DNS records; ownership, return path and new selectors take effect at once.

        What finds everything as it was makes nobody read the domains again: a thousand are due at once.
        """
        found = await self.get(scope, name, tenant_id=tenant_id)
        report = await check_domain(found, self._box, lookup, self._now())
        async with transaction(self._engine) as connection:
            await move(connection, Part.DOMAINS, by=0)
            current = await store.get(connection, scope, found.name, found.tenant_id)
            await self._apply(Change(connection, 0), scope, current, report)
            after = await store.get(connection, scope, found.name, found.tenant_id)
            if rules.without_report(after) != rules.without_report(current):
                await move(connection, Part.DOMAINS)
            return after

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

    async def activate(
        self, scope: Scope, name: str, *, tenant_id: int | None = None
    ) -> DomainRecord:
        """Let pending keys sign without having seen their records (closed network, laboratory)."""
        async with self._changing(scope, name, tenant_id) as (changed, found):
            seen = frozenset(key.selector for key in found.keys)
            await self._move_keys(changed, found, seen)
            await self._audit(changed, scope, found, "domain.activate-keys")
            return await store.get(changed.connection, scope, found.name, found.tenant_id)

    async def set_default(
        self, scope: Scope, name: str, *, tenant_id: int | None = None
    ) -> DomainRecord:
        """Sign foreign From domains of the tenant's forwarders with this domain."""
        async with self._changing(scope, name, tenant_id) as (changed, found):
            for other in await store.load(changed.connection, Scope.system(), _default_of(found)):
                await store.set_domain(changed.connection, other.id, {"is_default": False})
            await store.set_domain(changed.connection, found.id, {"is_default": True})
            await self._audit(changed, scope, found, "domain.default")
            return await store.get(changed.connection, scope, found.name, found.tenant_id)

    async def set_return_path_mode(
        self,
        scope: Scope,
        name: str,
        mode: ReturnPathMode | None,
        *,
        tenant_id: int | None = None,
    ) -> DomainRecord:
        """One return path a recipient or a message; None: as the credential or the box has it."""
        async with self._changing(scope, name, tenant_id) as (changed, found):
            values = {"return_path_mode": mode.value if mode else ""}
            await store.set_domain(changed.connection, found.id, values)
            detail = mode.value if mode else "default"
            await self._audit(changed, scope, found, "domain.return-path-mode", detail)
            return await store.get(changed.connection, scope, found.name, found.tenant_id)

    async def remove(self, scope: Scope, name: str, *, tenant_id: int | None = None) -> None:
        """Give the domain up, keys and all. What waits is signed by the default domain then, if any."""
        async with self._changing(scope, name, tenant_id) as (changed, found):
            keys = delete(domain_key).where(domain_key.c.domain_id == found.id)
            await changed.connection.execute(keys)
            await changed.connection.execute(delete(domain).where(domain.c.id == found.id))
            await self._audit(changed, scope, found, "domain.remove")

    async def private_keys(self, key_ids: Iterable[int]) -> dict[int, PrivateKey]:
        """Decrypted and loaded, for the signer's directory. Raises SecretError."""
        async with reading(self._engine) as connection:
            sealed = await store.sealed_keys(connection, key_ids)
        return {
            key_id: signing_keys.load_own(self._vault.decrypt(text, bound_to=place))
            for key_id, place, text in sealed
        }

    @asynccontextmanager
    async def _changing(
        self, scope: Scope, name: str, tenant_id: int | None
    ) -> AsyncIterator[tuple[Change, DomainRecord]]:
        """A change of one domain of the scope."""
        wanted, owner = rules.checked_name(name), scope.owner(tenant_id)
        async with change(self._engine, Part.DOMAINS) as changed:
            yield changed, await store.get(changed.connection, scope, wanted, owner)

    async def _insert(
        self,
        changed: Change,
        scope: Scope,
        owner: int,
        name: str,
        pair: tuple[PrivateKey, PrivateKey],
        verified_at: int,
    ) -> DomainRecord:
        others = select(domain.c.id).where(domain.c.tenant_id == owner).limit(1)
        is_first = (await changed.connection.execute(others)).first() is None
        values = {
            "tenant_id": owner,
            "name": name,
            "is_default": is_first,
            "token": rules.make_token(secrets.choice),
            "verified_at": verified_at,
            "return_path": f"{RETURN_PATH_LABEL}.{name}",
            "return_path_verified": False,
            "has_dmarc": False,
            "return_path_mode": "",
            "checks": "",
            "checked_at": 0,
            "created_at": self._now(),
        }
        await changed.connection.execute(insert(domain).values(**values))
        made = await store.get(changed.connection, scope, name, owner)
        for selector, key in zip(rules.next_selectors(()), pair, strict=True):
            await self._insert_key(changed, made, selector, key, KeyState.ACTIVE)
        detail = "taken as verified" if verified_at else ""
        await self._audit(changed, scope, made, "domain.create", detail)
        return await store.get(changed.connection, scope, name, owner)

    async def _insert_key(
        self, changed: Change, owner: DomainRecord, selector: str, key: PrivateKey, state: KeyState
    ) -> None:
        der = signing_keys.to_der(key)
        values = {
            "domain_id": owner.id,
            "tenant_id": owner.tenant_id,
            "selector": selector,
            "algorithm": signing_keys.algorithm_of(key),
            "private_key": self._vault.encrypt(der, bound_to=store.bound_to(owner.id, selector)),
            "public_key": signing_keys.public_key_text(key),
            "state": state,
            "created_at": self._now(),
            "updated_at": self._now(),
            "withdraw_at": 0,
        }
        await changed.connection.execute(insert(domain_key).values(**values))

    async def _apply(
        self, changed: Change, scope: Scope, current: DomainRecord, report: Report
    ) -> None:
        """Write what a check saw. What DNS could not say leaves things as they were."""
        values: dict[str, Any] = {"checked_at": report.at}
        if report.state(RecordKind.OWNERSHIP) is CheckState.OK and not current.verified:
            owners = await store.verified_owners(changed.connection, current.name)
            problem = rules.why_not_verify(owners, current.name, current.tenant_id)
            if problem:
                report = rules.with_problem(report, RecordKind.OWNERSHIP, problem)
            else:
                values["verified_at"] = report.at
                await self._audit(changed, scope, current, "domain.verified")
        for column, kind in (
            ("return_path_verified", RecordKind.RETURN_PATH),
            ("has_dmarc", RecordKind.DMARC),
        ):
            state = report.state(kind)
            if state is not CheckState.UNKNOWN:
                values[column] = state is CheckState.OK
        values["checks"] = msgspec.json.encode(report).decode()
        await store.set_domain(changed.connection, current.id, values)
        await self._move_keys(changed, current, rules.seen_selectors(report, current))

    async def _move_keys(
        self, changed: Change, current: DomainRecord, seen: frozenset[str]
    ) -> None:
        now = self._now()
        changes = rules.next_states(current.keys, seen, now, self._queue_life)
        await store.set_states(changed.connection, changes, now)

    async def _allow(self, changed: Change, name: str, owner: int) -> None:
        owners = await store.verified_owners(changed.connection, name)
        problem = rules.why_not_verify(owners, name, owner)
        if problem:
            raise ConflictError(problem)

    async def _audit(
        self, changed: Change, scope: Scope, found: DomainRecord, action: str, detail: str = ""
    ) -> None:
        await record(
            changed.connection,
            scope,
            Act(
                tenant_id=found.tenant_id,
                at=self._now(),
                action=action,
                subject=f"domain {found.name}",
                detail=detail,
            ),
        )


async def _make_pair() -> tuple[PrivateKey, PrivateKey]:
    """RSA for everybody, Ed25519 for who can; RSA takes up to half a second, off the loop."""
    return await asyncio.to_thread(signing_keys.make_rsa), signing_keys.make_ed25519()


def _default_of(found: DomainRecord) -> Select[Any]:
    return select(domain).where(domain.c.tenant_id == found.tenant_id, domain.c.is_default)
