"""Sign-in: a password, then a code where there is a second factor, then a session.

Whoever fails is told the same in every case (unknown address, wrong password, disabled account, no role
left), after the same work; and is slowed down by account and by client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from appliance.core.database import reading, transaction
from appliance.core.errors import SignInError
from appliance.people import records
from appliance.people.ceremonies import CeremonyKind
from appliance.people.guessing import account_key, code_key
from appliance.people.rules import folded_email
from appliance.people.tables import person

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.kit import Kit
    from appliance.people.model import Client, Opened, SignedIn

WRONG: Final = "the address or the password is wrong, or this account may not sign in"
WRONG_CODE: Final = "this code is wrong, or was used already: give the next one"


class SignIn:
    """Sign-in with what somebody knows."""

    def __init__(self, kit: Kit) -> None:
        self._engine, self._passwords, self._guessing = kit.engine, kit.passwords, kit.guessing
        self._ceremonies, self._second_factor = kit.ceremonies, kit.second_factor
        self._door = kit.door

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
