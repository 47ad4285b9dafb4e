"""Use cases of keys: create, list, revoke, note uses.

A key is refused from the next poll of whoever keeps the book on (KeyBook); what it sends, from the next
poll of the mta on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import bindparam, func, insert, or_, select, update

from appliance.core import clock
from appliance.core.control import Part, change, move
from appliance.core.database import reading, transaction
from appliance.core.errors import NotFoundError
from appliance.core.scope import BOX, Scope, scoped
from appliance.core.secrets import CREDENTIAL_PREFIX, generate_password
from appliance.keys.model import ApiKey, IssuedKey, KeyCounts
from appliance.keys.rules import SOON, UNUSED, checked_wish, rights_of_text, rights_text, token_of
from appliance.keys.tables import api_key
from appliance.rights import Right
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.control import Change
    from appliance.core.secrets import MasterKeys
    from appliance.credentials import Credentials
    from appliance.keys.model import KeyUse, Wish

MAX_PAGE = 1000


class Keys:
    """The API keys of the box and its tenants."""

    def __init__(
        self,
        engine: AsyncEngine,
        hasher: MasterKeys,
        credentials: Credentials,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._engine, self._hasher, self._credentials = engine, hasher, credentials
        self._now = now

    async def create(
        self, scope: Scope, wish: Wish, *, held: AbstractSet[Right], tenant_id: int | None = None
    ) -> IssuedKey:
        """Make a key with at most the rights that its maker holds; the token is shown here alone.

        `tenant_id` BOX: a key of the box, which sees all tenants.
        """
        owner = BOX if scope.is_system and tenant_id is None else scope.owner(tenant_id)
        wanted = checked_wish(wish, owner, held, self._now())
        secret = generate_password().removeprefix(CREDENTIAL_PREFIX)
        async with change(self._engine, Part.KEYS) as changed:
            made = await self._insert(changed, scope, wanted, owner, secret)
            await self._audit(changed, scope, made, "key.create", rights_text(made.rights))
        return IssuedKey(key=made, token=token_of(made.id, secret))

    async def list(
        self, scope: Scope, *, after: int = 0, limit: int = 100, valid: bool | None = None
    ) -> tuple[ApiKey, ...]:
        """A page of keys behind the key `after`, oldest first; `valid`: only those that are, or are not."""
        statement = scoped(select(api_key), api_key, scope).where(api_key.c.id > after)
        if valid is not None:
            opens = _is_valid(self._now())
            statement = statement.where(opens if valid else ~opens)
        page = statement.order_by(api_key.c.id).limit(min(limit, MAX_PAGE))
        async with reading(self._engine) as connection:
            return tuple(_key(row) for row in (await connection.execute(page)).mappings())

    async def counts(self, scope: Scope) -> KeyCounts:
        """How many there are, and how many of them somebody should look at."""
        now, c = self._now(), api_key.c
        ends = (c.expires_at > 0) & (c.expires_at < now + SOON)
        rests = (c.last_used_at < now - UNUSED) & (c.created_at < now - UNUSED)
        every = func.count()
        columns = select(every, every.filter(ends), every.filter(rests)).select_from(api_key)
        wanted = scoped(cast("Select[Any]", columns), api_key, scope).where(_is_valid(now))
        async with reading(self._engine) as connection:
            valid, ending, unused = (await connection.execute(wanted)).one()
        return KeyCounts(valid=valid, ending=ending, unused=unused)

    async def valid(self) -> Mapping[int, ApiKey]:
        """Every key that is not revoked, for the book."""
        statement = select(api_key).where(api_key.c.revoked_at == 0)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(statement)).mappings()
            return {row["id"]: _key(row) for row in rows}

    async def get(self, scope: Scope, key_id: int) -> ApiKey:
        """One key. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await _get(connection, scope, key_id)

    async def revoke(self, scope: Scope, key_id: int) -> ApiKey:
        """Refuse it from now on. Revoking twice is no error."""
        async with change(self._engine, Part.KEYS) as changed:
            found = await _get(changed.connection, scope, key_id)
            if found.revoked_at:
                return found
            now = self._now()
            mine = update(api_key).where(api_key.c.id == found.id)
            await changed.connection.execute(mine.values(revoked_at=now))
            if found.credential_id:
                await move(changed.connection, Part.CREDENTIALS)
                await self._credentials.revoke_for_key(changed, found.credential_id)
            await self._audit(changed, scope, found, "key.revoke")
        return replace(found, revoked_at=now)

    async def note_uses(self, uses: Iterable[KeyUse]) -> None:
        """Write down when and from where keys were last used."""
        statement = (
            update(api_key)
            .where(
                api_key.c.id == bindparam("b_id"), api_key.c.last_used_at < bindparam("b_before")
            )
            .values(last_used_at=bindparam("b_at"), last_used_from=bindparam("b_from"))
        )
        rows = [
            {"b_id": use.key_id, "b_before": use.at, "b_at": use.at, "b_from": use.address}
            for use in sorted(uses, key=lambda use: (use.key_id, use.at))
        ]
        if rows:
            async with transaction(self._engine) as connection:
                await connection.execute(statement, rows)

    async def _insert(
        self, changed: Change, scope: Scope, wish: Wish, tenant_id: int, secret: str
    ) -> ApiKey:
        values: dict[str, Any] = {
            "tenant_id": tenant_id,
            "credential_id": 0,
            "name": " ".join(wish.name.split()),
            "secret_hash": self._hasher.credential_hash(secret),
            "rights": rights_text(wish.rights),
            "sandboxed": wish.sandboxed,
            "by": scope.by,
            "created_at": self._now(),
            "expires_at": wish.expires_at,
            "revoked_at": 0,
            "last_used_at": 0,
            "last_used_from": "",
        }
        statement = insert(api_key).values(values).returning(api_key)
        made = _key((await changed.connection.execute(statement)).mappings().one())
        if Right.MESSAGES_SEND not in wish.rights:
            return made
        return await self._with_credential(changed, scope, made, wish)

    async def _with_credential(
        self, changed: Change, scope: Scope, made: ApiKey, wish: Wish
    ) -> ApiKey:
        await move(changed.connection, Part.CREDENTIALS)
        policy = replace(wish.policy, sandbox=wish.sandboxed)
        behind = await self._credentials.add_for_key(
            changed, scope, made.tenant_id, f"api-key-{made.id}", policy
        )
        mine = update(api_key).where(api_key.c.id == made.id)
        await changed.connection.execute(mine.values(credential_id=behind.id))
        return replace(made, credential_id=behind.id)

    async def _audit(
        self, changed: Change, scope: Scope, key: ApiKey, action: str, detail: str = ""
    ) -> None:
        act = Act(
            tenant_id=key.tenant_id,
            at=self._now(),
            action=action,
            subject=f"key {key.id} ({key.name})",
            detail=detail,
        )
        await record(changed.connection, scope, act)


async def _get(connection: AsyncConnection, scope: Scope, key_id: int) -> ApiKey:
    statement = scoped(select(api_key), api_key, scope).where(api_key.c.id == key_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no key has the number {key_id}")
    return _key(row)


def _is_valid(now: int) -> ColumnElement[bool]:
    """As ApiKey.is_valid says it."""
    c = api_key.c
    return (c.revoked_at == 0) & or_(c.expires_at == 0, c.expires_at > now)


def _key(row: Mapping[Any, Any]) -> ApiKey:
    read = {
        "secret_hash": bytes(row["secret_hash"]),
        "rights": rights_of_text(row["rights"]),
        "sandboxed": bool(row["sandboxed"]),
    }
    return ApiKey(**{**row, **read})
