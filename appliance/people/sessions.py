"""Sessions: kept on the box's side, found by the hash of a random token, ended at once when they must.

A token is new at every sign-in and whenever its session comes to see other rows (a tenant's view is entered
or left), so that one that somebody planted beforehand is worth nothing. Rights are read from the store at
each request: who loses a role loses its rights with the next one. A session ends after a time without a
request, and in any case some time after its sign-in; both are settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, insert, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import NotFoundError, SignInError
from appliance.core.scope import BOX, Scope
from appliance.people.model import Client, Opened, Options, Seen, SessionRecord
from appliance.people.rules import SEEN_EVERY, shortened
from appliance.people.tables import membership, person, session
from appliance.people.tokens import csrf_matches, csrf_of, hash_of, new_token
from appliance.rights import Actor, ActorKind, Role, rights_of
from appliance.tenancy import Act, Tenants, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Delete, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.secrets import MasterKeys

MOST_OF_ONE: Final = 50  # of one person; the ones that were not used for longest end first
_ENDED: Final = "the session has ended: sign in again"


class Sessions:
    """Who is signed in."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: MasterKeys,
        options: Options,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._engine, self._keys, self._now = engine, keys, now
        self._idle, self._life = options.session_idle, options.session_life

    async def seen(self, token: str, address: str = "") -> Seen | None:
        """Who this is; None when the session has ended or never was. One query, seldom a write.

        `address`: where the request comes from, for the audit log.
        """
        if not token:
            return None
        async with reading(self._engine) as connection:
            of_token = session.c.token_hash == hash_of(token)
            found = await connection.execute(self._question(of_token))
            row = found.mappings().one_or_none()
        if row is None or not (row["box_role"] or row["role"]):
            return None
        if row["seen_at"] <= self._now() - SEEN_EVERY:
            await self._note(row["id"])
        return self._seen(row, token, address)

    async def still(self, session_id: int) -> Actor | None:
        """On whose behalf a session acts now; None when it has ended. To ask is not to use it."""
        async with reading(self._engine) as connection:
            found = await connection.execute(self._question(session.c.id == session_id))
            row = found.mappings().one_or_none()
        return None if row is None or not (row["box_role"] or row["role"]) else _actor(row)

    async def actor_of(self, token: str, address: str = "") -> Actor | None:
        """On whose behalf a request with this token is done."""
        found = await self.seen(token, address)
        return found.actor if found else None

    def csrf_matches(self, token: str, given: str) -> bool:
        """Whether a request that changes something was made by the session's own pages."""
        return csrf_matches(self._keys, token, given)

    async def open(self, connection: AsyncConnection, person_id: int, client: Client) -> Opened:
        """A session for somebody who has proved who they are, in the transaction of the proof.

        Raises SignInError when they have no role left.
        """
        tenant_id = await _home_of(connection, person_id)
        now, token = self._now(), new_token()
        row = {
            "token_hash": hash_of(token),
            "person_id": person_id,
            "tenant_id": tenant_id,
            "created_at": now,
            "seen_at": now,
            "expires_at": now + self._life,
            "address": client.address[:64],
            "agent": shortened(client.agent),
        }
        if client.token:
            await connection.execute(_of_token(client.token))
        await connection.execute(insert(session).values(row))
        await _end_beyond(connection, person_id)
        return self._opened(token, now + self._life, tenant_id)

    async def list(self, token: str) -> tuple[SessionRecord, ...]:
        """One's own sessions, the latest used first. Raises SignInError."""
        mine = await self._mine(token)
        statement = (
            select(session)
            .where(session.c.person_id == mine.person_id, *self._living())
            .order_by(session.c.seen_at.desc(), session.c.id.desc())
            .limit(MOST_OF_ONE)
        )
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement)
            return tuple(_record(row, mine.session_id) for row in rows.mappings())

    async def end(self, token: str, session_id: int) -> None:
        """End one of one's own. Raises NotFoundError."""
        mine = await self._mine(token)
        gone = delete(session).where(
            session.c.id == session_id, session.c.person_id == mine.person_id
        )
        async with transaction(self._engine) as connection:
            if not (await connection.execute(gone)).rowcount:
                raise NotFoundError(f"you have no session {session_id}")

    async def end_others(self, token: str) -> int:
        """End one's own but this one; how many there were."""
        mine = await self._mine(token)
        async with transaction(self._engine) as connection:
            return await self.end_but(connection, mine)

    async def sign_out(self, token: str) -> None:
        """End this one; one that has ended is no error."""
        async with transaction(self._engine) as connection:
            await connection.execute(_of_token(token))

    async def enter(self, token: str, tenant_id: int, address: str = "") -> Opened:
        """See a tenant's rows and no others: as its member, or as somebody of the box who visits it.

        0 leads back to the whole box. The token changes. Raises NotFoundError.
        """
        mine = await self._mine(token)
        exists = tenant_id == BOX or await self._exists(tenant_id)
        async with transaction(self._engine) as connection:
            is_of_box = await _is_of_box(connection, mine.person_id)
            may = is_of_box or await _is_member(connection, mine.person_id, tenant_id)
            if not exists or not may:
                raise NotFoundError(f"there is no tenant {tenant_id}")
            if is_of_box:
                await self._audit_visit(connection, mine, tenant_id, address)
            return await self.renew(connection, token, tenant_id=tenant_id)

    async def renew(self, connection: AsyncConnection, token: str, **view: int) -> Opened:
        """Another token for this session, in the transaction of what asks for it.

        Raises SignInError when it has ended, or somebody else has just done the same with it.
        """
        fresh = new_token()
        statement = (
            update(session)
            .where(session.c.token_hash == hash_of(token), *self._living())
            .values(token_hash=hash_of(fresh), **view)
            .returning(session.c.expires_at, session.c.tenant_id)
        )
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise SignInError(_ENDED)
        return self._opened(fresh, int(row[0]), int(row[1]))

    async def end_but(self, connection: AsyncConnection, mine: Seen) -> int:
        """End one's other sessions, in the transaction of what makes them end."""
        gone = delete(session).where(
            session.c.person_id == mine.person_id, session.c.id != mine.session_id
        )
        return int((await connection.execute(gone)).rowcount)

    async def forget(self) -> None:
        """Drop those that have ended."""
        now = self._now()
        over = (session.c.expires_at <= now) | (session.c.seen_at <= now - self._idle)
        async with transaction(self._engine) as connection:
            await connection.execute(delete(session).where(over))

    async def _mine(self, token: str) -> Seen:
        found = await self.seen(token)
        if found is None:
            raise SignInError(_ENDED)
        return found

    def _question(self, which: ColumnElement[bool]) -> Any:
        joined = session.join(person, person.c.id == session.c.person_id).outerjoin(
            membership,
            and_(
                membership.c.person_id == session.c.person_id,
                membership.c.tenant_id == session.c.tenant_id,
            ),
        )
        return (
            select(session, person.c.email, person.c.box_role, membership.c.role)
            .select_from(joined)
            .where(which, person.c.disabled_at == 0, *self._living())
        )

    def _living(self) -> tuple[Any, ...]:
        now = self._now()
        return session.c.expires_at > now, session.c.seen_at > now - self._idle

    async def _note(self, session_id: int) -> None:
        now = self._now()
        statement = (
            update(session)
            .where(session.c.id == session_id, session.c.seen_at <= now - SEEN_EVERY)
            .values(seen_at=now)
        )
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    def _seen(self, row: RowMapping, token: str, address: str = "") -> Seen:
        return Seen(
            actor=_actor(row, address),
            session_id=row["id"],
            person_id=row["person_id"],
            tenant_id=row["tenant_id"],
            is_visiting=_is_visiting(row),
            csrf=csrf_of(self._keys, hash_of(token)),
            expires_at=min(row["expires_at"], row["seen_at"] + self._idle),
        )

    def _opened(self, token: str, expires_at: int, tenant_id: int) -> Opened:
        csrf = csrf_of(self._keys, hash_of(token))
        return Opened(token=token, csrf=csrf, expires_at=expires_at, tenant_id=tenant_id)

    async def _exists(self, tenant_id: int) -> bool:
        return bool(tenant_id > 0 and await Tenants(self._engine).list(Scope.tenant(tenant_id)))

    async def _audit_visit(
        self, connection: AsyncConnection, mine: Seen, tenant_id: int, address: str
    ) -> None:
        by = Scope.system(by=mine.actor.name.removesuffix(" (of the box)"), address=address)
        acts = (("tenant.leave", mine.tenant_id), ("tenant.enter", tenant_id))
        for action, concerned in acts:
            if concerned != BOX:
                act = Act(
                    tenant_id=concerned,
                    at=self._now(),
                    action=action,
                    subject=f"session {mine.session_id}",
                )
                await record(connection, by, act)


def _is_visiting(row: RowMapping) -> bool:
    return bool(row["tenant_id"] and row["box_role"] and not row["role"])


def _actor(row: RowMapping, address: str = "") -> Actor:
    name = f"{row['email']} (of the box)" if _is_visiting(row) else row["email"]
    tenant_id = row["tenant_id"]
    everything = Scope.system(by=name, address=address)
    return Actor(
        kind=ActorKind.PERSON,
        id=row["person_id"],
        name=name,
        scope=everything.within(tenant_id) if tenant_id else everything,
        rights=rights_of(Role(role) for role in (row["role"], row["box_role"]) if role),
    )


async def end_all(connection: AsyncConnection, person_id: int, *, but: bytes = b"") -> int:
    """End somebody's sessions, in the transaction of what makes them end."""
    gone = delete(session).where(session.c.person_id == person_id, session.c.token_hash != but)
    return int((await connection.execute(gone)).rowcount)


def _of_token(token: str) -> Delete:
    return delete(session).where(session.c.token_hash == hash_of(token))


async def _home_of(connection: AsyncConnection, person_id: int) -> int:
    """Whose rows somebody sees first."""
    found = await connection.execute(
        select(person.c.box_role, membership.c.tenant_id)
        .select_from(person.outerjoin(membership, membership.c.person_id == person.c.id))
        .where(person.c.id == person_id, person.c.disabled_at == 0)
        .order_by(membership.c.created_at, membership.c.tenant_id)
        .limit(1)
    )
    row = found.one_or_none()
    if row is None or not (row[0] or row[1]):
        raise SignInError("this account has no role here any more: ask who invited you")
    return BOX if row[0] else int(row[1])


async def _end_beyond(connection: AsyncConnection, person_id: int) -> None:
    mine = session.c.person_id == person_id
    kept = select(session.c.id).where(mine).order_by(session.c.seen_at.desc(), session.c.id.desc())
    await connection.execute(
        delete(session).where(mine, session.c.id.not_in(kept.limit(MOST_OF_ONE)))
    )


async def _is_of_box(connection: AsyncConnection, person_id: int) -> bool:
    found = await connection.execute(select(person.c.box_role).where(person.c.id == person_id))
    return bool(found.scalar())


async def _is_member(connection: AsyncConnection, person_id: int, tenant_id: int) -> bool:
    found = await connection.execute(
        select(membership.c.role).where(
            membership.c.person_id == person_id, membership.c.tenant_id == tenant_id
        )
    )
    return found.scalar() is not None


def _record(row: RowMapping, this: int) -> SessionRecord:
    return SessionRecord(
        id=row["id"],
        tenant_id=row["tenant_id"],
        created_at=row["created_at"],
        seen_at=row["seen_at"],
        expires_at=row["expires_at"],
        address=row["address"],
        agent=row["agent"],
        is_this=row["id"] == this,
    )
