"""Use cases of credentials: create, list, change, rotate, revoke, note uses.

A revocation reaches every session at the next poll of the directory. Uses are noted in batches and
move no generation: nothing is decided by them.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from appliance.core import clock, tasks
from appliance.core.control import Change, Part, change
from appliance.core.database import in_pages, reading, transaction, upsert
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope, scoped
from appliance.core.secrets import generate_password
from appliance.credentials.model import CredentialRecord, Door, IssuedLogin, Login, Policy, Use
from appliance.credentials.rates import REMEMBERED, hour_of, is_news, usual_rate
from appliance.credentials.rules import (
    checked_name,
    checked_policy,
    decode_policy,
    encode_policy,
    make_username,
)
from appliance.credentials.tables import credential, credential_hour, login
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.tenancy import TenantRecord

DEFAULT_OVERLAP = clock.DAY
CONSOLE: Final = "(console)"  # no name that a person could give
_LEARN_PAGE = 100  # credentials; their hours are at most 33,700 rows


class Hasher(Protocol):
    """Makes the keyed hash of a password (appliance.core.secrets.MasterKeys)."""

    def credential_hash(self, secret: str) -> bytes:
        """The hash as stored."""


class Credentials:
    """The SMTP logins of the tenants."""

    def __init__(
        self, engine: AsyncEngine, hasher: Hasher, now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._engine, self._hasher, self._now = engine, hasher, now

    async def create(
        self, scope: Scope, tenant: TenantRecord, *, name: str, policy: Policy | None = None
    ) -> IssuedLogin:
        """Make a credential with its first login. The password is returned here and never again."""
        wanted = checked_name(name)
        try:
            async with change(self._engine, Part.CREDENTIALS) as changed:
                made = await self._insert(changed, scope.owner(tenant.id), wanted, policy)
                issued = await self._issue(changed, made, tenant.name)
                await self._audit(changed, scope, made, "credential.create")
        except IntegrityError as error:
            raise ConflictError(
                f"the tenant has a credential named {wanted!r} already:"
                " rotate it, revoke it, or choose another name",
                field="name",
            ) from error
        return issued

    async def add_for_key(
        self, changed: Change, scope: Scope, tenant_id: int, name: str, policy: Policy
    ) -> CredentialRecord:
        """A credential behind an API key, in the transaction that makes the key.

        What the key sends is limited, paused, logged and watched as a login's is. It has no password.
        """
        owner = scope.owner(tenant_id)
        return await self._insert(changed, owner, checked_name(name), policy, door=Door.API)

    async def revoke_for_key(self, changed: Change, credential_id: int) -> None:
        """Revoke it with its key."""
        await _set(changed.connection, credential_id, revoked_at=self._now())

    async def of_console(self, scope: Scope, tenant_id: int | None = None) -> CredentialRecord:
        """What people send through who have signed in: one for each tenant, made when it is first wanted.

        Limited, paused, logged and watched as a login is. It has no password and stands in no list.
        """
        owner = scope.owner(tenant_id)
        found = await self._console_of(owner)
        if found is not None:
            return found
        try:
            async with change(self._engine, Part.CREDENTIALS) as changed:
                made = await self._insert(changed, owner, CONSOLE, None, door=Door.CONSOLE)
                await self._audit(changed, scope, made, "credential.create")
        except IntegrityError as error:
            found = await self._console_of(owner)  # somebody else was the first
            if found is None:
                raise NotFoundError(f"there is no tenant {owner}") from error
            return found
        return made

    async def _console_of(self, tenant_id: int) -> CredentialRecord | None:
        mine = select(credential).where(
            credential.c.tenant_id == tenant_id,
            credential.c.name == CONSOLE,
            credential.c.revoked_at == 0,
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(mine)).mappings().one_or_none()
        return None if row is None else _record(row, ())

    async def _insert(
        self,
        changed: Change,
        tenant_id: int,
        name: str,
        policy: Policy | None,
        *,
        door: Door = Door.SMTP,
    ) -> CredentialRecord:
        values = {
            "tenant_id": tenant_id,
            "name": name,
            "policy": encode_policy(checked_policy(policy or Policy())),
            "created_at": self._now(),
            "revoked_at": 0,
            "last_used_at": 0,
            "last_used_from": "",
            "usual_per_hour": 0,
            "door": door,
        }
        statement = insert(credential).values(values).returning(credential)
        row = await changed.connection.execute(statement)
        return _record(row.mappings().one(), ())

    async def list(
        self, scope: Scope, *, door: Door | None = Door.SMTP
    ) -> tuple[CredentialRecord, ...]:
        """The credentials the scope sees, revoked ones too, oldest first. `door` None: of every door."""
        async with reading(self._engine) as connection:
            statement = scoped(select(credential).order_by(credential.c.id), credential, scope)
            if door is not None:
                statement = statement.where(credential.c.door == door)
            rows = [row async for page in in_pages(connection, statement) for row in page]
            names = scoped(select(login).order_by(login.c.created_at.desc()), login, scope)
            logins: dict[int, tuple[Login, ...]] = {}
            async for page in in_pages(connection, names):
                for row in page:
                    made = _login(row)
                    logins[row["credential_id"]] = (*logins.get(row["credential_id"], ()), made)
        return tuple(
            [_record(row, logins.get(row["id"], ())) async for row in tasks.in_turns(rows)]
        )

    async def page(
        self, scope: Scope, *, after: int = 0, limit: int = 100, revoked_too: bool = False
    ) -> tuple[CredentialRecord, ...]:
        """SMTP logins that the scope sees with ids above `after`, in their order."""
        statement = scoped(select(credential), credential, scope).where(
            credential.c.id > after, credential.c.door == Door.SMTP
        )
        if not revoked_too:
            statement = statement.where(credential.c.revoked_at == 0)
        async with reading(self._engine) as connection:
            wanted = statement.order_by(credential.c.id).limit(limit)
            rows = (await connection.execute(wanted)).mappings().all()
            names = select(login).where(login.c.credential_id.in_([row["id"] for row in rows]))
            found: dict[int, list[Login]] = defaultdict(list)
            for row in (
                await connection.execute(names.order_by(login.c.created_at.desc()))
            ).mappings():
                found[row["credential_id"]].append(_login(row))
        return tuple(_record(row, tuple(found[row["id"]])) for row in rows)

    async def count(self, scope: Scope) -> int:
        """How many SMTP logins that the scope sees are not revoked."""
        wanted = scoped(select(func.count()).select_from(credential), credential, scope).where(
            credential.c.door == Door.SMTP, credential.c.revoked_at == 0
        )
        async with reading(self._engine) as connection:
            return int((await connection.execute(wanted)).scalar_one())

    async def get(self, scope: Scope, credential_id: int) -> CredentialRecord:
        """One credential. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await _get(connection, scope, credential_id)

    async def find(self, scope: Scope, name: str) -> CredentialRecord:
        """A valid credential by its name or a user name. Raises NotFoundError."""
        wanted = name.strip().lower()
        for found in await self.list(scope):
            if not found.revoked_at and wanted in (
                found.name,
                *(one.username for one in found.logins),
            ):
                return found
        raise NotFoundError(
            f"no credential is named {name!r}: `pillarbox credential list` shows them"
        )

    async def set_policy(
        self, scope: Scope, credential_id: int, policy: Policy
    ) -> CredentialRecord:
        """Replace what it may do."""
        text = encode_policy(checked_policy(policy))
        async with change(self._engine, Part.CREDENTIALS) as changed:
            found = await _get(changed.connection, scope, credential_id)
            await _set(changed.connection, found.id, policy=text)
            await self._audit(changed, scope, found, "credential.policy", text)
            return await _get(changed.connection, scope, credential_id)

    async def rotate(
        self,
        scope: Scope,
        tenant: TenantRecord,
        credential_id: int,
        *,
        overlap: int = DEFAULT_OVERLAP,
    ) -> IssuedLogin:
        """Make a new login; older ones stay valid for `overlap` ms, never longer than they were."""
        if overlap < 0:
            raise UsageError("an overlap is not negative")
        until = self._now() + overlap
        async with change(self._engine, Part.CREDENTIALS) as changed:
            found = await _get(changed.connection, scope, credential_id)
            if found.revoked_at:
                raise ConflictError(f"credential {found.name!r} is revoked: create a new one")
            if found.tenant_id != tenant.id:
                raise NotFoundError(f"tenant {tenant.name} has no credential {credential_id}")
            await _expire_logins(changed.connection, found.id, until=until, now=self._now())
            issued = await self._issue(changed, found, tenant.name)
            await self._audit(
                changed, scope, found, "credential.rotate", f"old logins until {clock.iso(until)}"
            )
        return issued

    async def revoke(self, scope: Scope, credential_id: int) -> CredentialRecord:
        """Refuse it from now on, sessions included. Revoking twice is no error."""
        async with change(self._engine, Part.CREDENTIALS) as changed:
            found = await _get(changed.connection, scope, credential_id)
            if not found.revoked_at:
                await _set(changed.connection, found.id, revoked_at=self._now())
                await self._audit(changed, scope, found, "credential.revoke")
            return await _get(changed.connection, scope, credential_id)

    async def note_uses(self, uses: Iterable[Use]) -> None:
        """Write down when and from where credentials last logged in; unknown ones are ignored."""
        latest = {use.credential_id: use for use in sorted(uses, key=lambda use: use.at)}
        if not latest:
            return
        statement = (
            update(credential)
            .where(
                credential.c.id == bindparam("b_id"),
                credential.c.last_used_at < bindparam("b_before"),
            )
            .values(last_used_at=bindparam("b_at"), last_used_from=bindparam("b_from"))
        )
        rows = [
            {"b_id": use.credential_id, "b_before": use.at, "b_at": use.at, "b_from": use.address}
            for use in sorted(latest.values(), key=lambda use: use.credential_id)
        ]
        async with transaction(self._engine) as connection:
            await connection.execute(statement, rows)

    async def set_usual_rates(self, rates: Mapping[int, int]) -> None:
        """Write down what the event log says is each credential's usual hour (MTA-3)."""
        statement = (
            update(credential)
            .where(
                credential.c.id == bindparam("b_id"),
                credential.c.usual_per_hour != bindparam("b_old"),
            )
            .values(usual_per_hour=bindparam("b_rate"))
        )
        rows = [
            {"b_id": credential_id, "b_old": rate, "b_rate": rate}
            for credential_id, rate in sorted(rates.items())
        ]
        if rows:
            async with change(self._engine, Part.CREDENTIALS) as changed:
                await changed.connection.execute(statement, rows)

    async def count_hours(self, counts: Mapping[tuple[int, int], int]) -> None:
        """Add recipients to hours of credentials, named by the credential and the hour's start."""
        if not counts:
            return
        rows = [
            {"credential_id": credential_id, "hour": hour, "recipients": recipients}
            for (credential_id, hour), recipients in sorted(counts.items())
        ]
        async with transaction(self._engine) as connection:
            statement = upsert(connection, credential_hour)
            total = credential_hour.c.recipients + statement.excluded.recipients
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[credential_hour.c.credential_id, credential_hour.c.hour],
                    set_={"recipients": total},
                ),
                rows,
            )

    async def learn_usual_rates(self, now: int) -> None:
        """Set the usual rates anew from the hours that are over; forget those that are too old."""
        oldest, known = now - REMEMBERED, await self._known_rates()
        for start in range(0, len(known), _LEARN_PAGE):
            page = dict(known[start : start + _LEARN_PAGE])
            hours = await self._hours(tuple(page), oldest, hour_of(now))
            found = {number: usual_rate(hours.get(number, {})) for number in page}
            await self.set_usual_rates(
                {number: rate for number, rate in found.items() if is_news(page[number], rate)}
            )
        async with transaction(self._engine) as connection:
            await connection.execute(delete(credential_hour).where(credential_hour.c.hour < oldest))

    async def _known_rates(self) -> Sequence[tuple[int, int]]:
        statement = select(credential.c.id, credential.c.usual_per_hour)
        valid = statement.where(credential.c.revoked_at == 0).order_by(credential.c.id)
        async with reading(self._engine) as connection:
            return [(number, rate) for number, rate in await connection.execute(valid)]

    async def _hours(
        self, credentials: Sequence[int], since: int, until: int
    ) -> Mapping[int, Mapping[int, int]]:
        statement = select(credential_hour).where(
            credential_hour.c.credential_id.in_(credentials),
            credential_hour.c.hour >= since,
            credential_hour.c.hour < until,
        )
        found: dict[int, dict[int, int]] = defaultdict(dict)
        async with reading(self._engine) as connection:
            for number, hour, recipients in await connection.execute(statement):
                found[number][hour] = recipients
        return found

    async def replace_hash(self, username: str, *, old: bytes, new: bytes) -> bool:
        """Store the hash of the same password under a newer master key, at a login that succeeded."""
        statement = (
            update(login)
            .where(login.c.username == username, login.c.secret_hash == old)
            .values(secret_hash=new)
        )
        async with change(self._engine, Part.CREDENTIALS) as changed:
            return (await changed.connection.execute(statement)).rowcount == 1

    async def _issue(
        self, changed: Change, owner: CredentialRecord, tenant_name: str
    ) -> IssuedLogin:
        username = make_username(tenant_name, owner.name, secrets.choice)
        password = generate_password()
        values = {
            "username": username,
            "credential_id": owner.id,
            "tenant_id": owner.tenant_id,
            "secret_hash": self._hasher.credential_hash(password),
            "created_at": self._now(),
            "expires_at": 0,
        }
        await changed.connection.execute(insert(login), values)
        fresh = await _get(changed.connection, Scope.system(), owner.id)
        return IssuedLogin(credential=fresh, username=username, password=password)

    async def _audit(
        self, changed: Change, scope: Scope, found: CredentialRecord, action: str, detail: str = ""
    ) -> None:
        await record(
            changed.connection,
            scope,
            Act(
                tenant_id=found.tenant_id,
                at=self._now(),
                action=action,
                subject=f"credential {found.id} ({found.name})",
                detail=detail,
            ),
        )


async def _get(connection: AsyncConnection, scope: Scope, credential_id: int) -> CredentialRecord:
    statement = scoped(select(credential), credential, scope).where(
        credential.c.id == credential_id
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no credential has the id {credential_id}")
    names = select(login).where(login.c.credential_id == credential_id)
    rows = await connection.execute(names.order_by(login.c.created_at.desc()))
    return _record(row, tuple(map(_login, rows.mappings())))


async def _set(connection: AsyncConnection, credential_id: int, **values: Any) -> None:
    await connection.execute(
        update(credential).where(credential.c.id == credential_id).values(values)
    )


async def _expire_logins(
    connection: AsyncConnection, credential_id: int, *, until: int, now: int
) -> None:
    mine = login.c.credential_id == credential_id
    over = (login.c.expires_at > 0) & (login.c.expires_at <= now)
    await connection.execute(delete(login).where(mine, over))
    longer = (login.c.expires_at == 0) | (login.c.expires_at > until)
    await connection.execute(update(login).where(mine, longer).values(expires_at=until))


def _login(row: RowMapping) -> Login:
    return Login(
        username=row["username"],
        secret_hash=bytes(row["secret_hash"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _record(row: RowMapping, logins: tuple[Login, ...]) -> CredentialRecord:
    read = {"policy": decode_policy(row["policy"]), "door": Door(row["door"])}
    return CredentialRecord(**{**row, **read}, logins=logins)
