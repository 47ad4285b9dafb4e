"""Sign-in: a password, then a code where there is a second factor, then a session.

Whoever fails is told the same in every case (unknown address, wrong password, disabled account, no role
left), after the same work; and is slowed down by account and by client. `Door` is the last step of every way
in: it opens the session and writes down that somebody came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import SignInError
from appliance.core.scope import BOX, Scope
from appliance.people import records
from appliance.people.ceremonies import CeremonyKind
from appliance.people.guessing import account_key, code_key
from appliance.people.model import SecondFactorNeeded, SignedIn
from appliance.people.rules import CEREMONY_LIFE, folded_email
from appliance.people.tables import person
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.people.ceremonies import Ceremonies
    from appliance.people.guessing import Guessing
    from appliance.people.model import Client, Opened
    from appliance.people.passwords import Passwords
    from appliance.people.second_factor import SecondFactor
    from appliance.people.sessions import Sessions

WRONG: Final = "the address or the password is wrong, or this account may not sign in"
WRONG_CODE: Final = "this code is wrong, or was used already: give the next one"


class Door:
    """Lets in who has proved who they are."""

    def __init__(
        self,
        sessions: Sessions,
        ceremonies: Ceremonies,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._sessions, self._ceremonies, self._now = sessions, ceremonies, now

    async def open(self, connection: AsyncConnection, person_id: int, client: Client) -> Opened:
        """A session, in the transaction of the proof. Raises SignInError when they may not sign in."""
        opened = await self._sessions.open(connection, person_id, client)
        statement = (
            update(person)
            .where(person.c.id == person_id)
            .values(signed_in_at=self._now())
            .returning(person.c.email)
        )
        email = str((await connection.execute(statement)).scalar_one())
        act = Act(
            tenant_id=BOX,
            at=self._now(),
            action="user.sign-in",
            subject=f"user {person_id} ({email})",
            detail=f"from {client.address[:64]}",
        )
        await record(connection, Scope.system(by=email), act)
        return opened

    async def ask_code(self, row: RowMapping, client: Client) -> SecondFactorNeeded | None:
        """What is needed besides the first proof; None when nothing is."""
        if not row["totp_secret"]:
            return None
        expires_at = self._now() + CEREMONY_LIFE
        ticket = await self._ceremonies.begin(
            CeremonyKind.SECOND_FACTOR, {}, client, person_id=row["id"]
        )
        return SecondFactorNeeded(ticket=ticket, expires_at=expires_at)


class SignIn:
    """Sign-in with what somebody knows."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        passwords: Passwords,
        guessing: Guessing,
        ceremonies: Ceremonies,
        second_factor: SecondFactor,
        door: Door,
    ) -> None:
        self._engine, self._passwords, self._guessing = engine, passwords, guessing
        self._ceremonies, self._second_factor, self._door = ceremonies, second_factor, door

    async def with_password(self, email: str, password: str, client: Client) -> SignedIn:
        """A session, or the question for a code. Raises SignInError or TooManyError."""
        key = account_key(email)
        await self._guessing.count(key, client)
        async with reading(self._engine) as connection:
            row = await records.by_email(connection, folded_email(email))
            is_welcome = await records.is_welcome(connection, row)
        stored = row["password_hash"] if row is not None and is_welcome else ""
        if not await self._passwords.matches(password, stored) or row is None:
            raise SignInError(WRONG)
        await self._guessing.was_right(key, client)
        if self._passwords.is_old(stored):
            await self._hash_anew(row["id"], stored, password)
        needed = await self._door.ask_code(row, client)
        if needed is not None:
            return needed
        async with transaction(self._engine) as connection:
            return await self._door.open(connection, row["id"], client)

    async def with_code(self, ticket: str, code: str, client: Client) -> Opened:
        """The second step: a code of the second factor, or a recovery code.

        Raises SignInError or TooManyError; a wrong code may be followed by another while the ticket lasts.
        """
        asked = await self._ceremonies.look(CeremonyKind.SECOND_FACTOR, ticket)
        key = code_key(asked.person_id)
        await self._guessing.count(key, client)
        async with transaction(self._engine) as connection:
            if not await self._second_factor.accept(connection, asked.person_id, code):
                raise SignInError(WRONG_CODE)
            await self._ceremonies.take(connection, CeremonyKind.SECOND_FACTOR, ticket)
            opened = await self._door.open(connection, asked.person_id, client)
        await self._guessing.was_right(key, client)
        return opened

    async def _hash_anew(self, person_id: int, old: str, password: str) -> None:
        """Under today's parameters; unless it was changed in between."""
        fresh = await self._passwords.hash(password)
        statement = (
            update(person)
            .where(person.c.id == person_id, person.c.password_hash == old)
            .values(password_hash=fresh)
        )
        async with transaction(self._engine) as connection:
            await connection.execute(statement)


async def password_of(connection: AsyncConnection, person_id: int) -> str:
    """The stored hash; "" without one."""
    found = await connection.execute(select(person.c.password_hash).where(person.c.id == person_id))
    return str(found.scalar() or "")
