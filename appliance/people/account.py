"""Account: what somebody changes about themselves, with the session that asks and the password again.

Whoever finds an open browser must not be able to take the account over: what changes how somebody signs in
asks for the password, counted as a sign-in is. Accounts without one (they came by an issuer or use passkeys)
have nothing to ask for. A new password ends all other sessions and changes this one's token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from appliance.core.database import reading, transaction
from appliance.core.errors import SignInError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.people import letters, records
from appliance.people.ceremonies import CeremonyKind
from appliance.people.guessing import account_key
from appliance.people.model import NewSecondFactor
from appliance.people.rules import checked_name, checked_password
from appliance.people.second_factor import new_secret, step_of, uri_of
from appliance.people.sessions import end_all
from appliance.people.sign_in import WRONG_CODE, password_of
from appliance.people.tables import person
from appliance.people.tokens import hash_of
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.kit import Kit
    from appliance.people.model import (
        Client,
        Opened,
        PasskeyOptions,
        PasskeyRecord,
        Seen,
        User,
    )
    from appliance.people.passkeys import Passkeys

_SYSTEM = Scope.system(by="account")


class Account:
    """One's own account."""

    def __init__(self, kit: Kit, passkeys: Passkeys) -> None:
        self._engine, self._options, self._now = kit.engine, kit.options, kit.now
        self._passwords, self._guessing = kit.passwords, kit.guessing
        self._ceremonies, self._second_factor = kit.ceremonies, kit.second_factor
        self._sessions, self._later, self._passkeys = kit.sessions, kit.later, passkeys

    async def user(self, seen: Seen) -> User:
        """Oneself."""
        async with reading(self._engine) as connection:
            return await records.user(connection, _SYSTEM, seen.person_id)

    async def rename(self, seen: Seen, name: str) -> User:
        """Change one's name."""
        wanted = checked_name(name)
        async with transaction(self._engine) as connection:
            statement = update(person).where(person.c.id == seen.person_id).values(name=wanted)
            await connection.execute(statement)
            return await records.user(connection, _SYSTEM, seen.person_id)

    async def change_password(
        self, seen: Seen, token: str, client: Client, *, old: str, new: str
    ) -> Opened:
        """A new password; every other session ends and this one's token changes."""
        me = await self._confirmed(seen, old, client)
        hashed = await self._passwords.hash(checked_password(new, me.email, field="new"))
        async with transaction(self._engine) as connection:
            statement = update(person).where(person.c.id == me.id).values(password_hash=hashed)
            await connection.execute(statement)
            await end_all(connection, me.id, but=hash_of(token))
            opened = await self._sessions.renew(connection, token)
            await self._audit(connection, seen, me, "user.password")
        self._later.later(me.email, *letters.changed_password(self._options))
        return opened

    async def begin_second_factor(
        self, seen: Seen, client: Client, *, password: str
    ) -> NewSecondFactor:
        """A secret for the telephone; it counts once its first code was given."""
        me = await self._confirmed(seen, password, client)
        secret = new_secret()
        data = {"secret": self._second_factor.sealed(me.id, secret)}
        ticket = await self._ceremonies.begin(
            CeremonyKind.NEW_SECOND_FACTOR, data, client, person_id=me.id
        )
        uri = uri_of(secret, me.email, self._options.box_name)
        return NewSecondFactor(ticket=ticket, secret=secret, uri=uri)

    async def confirm_second_factor(self, seen: Seen, ticket: str, code: str) -> tuple[str, ...]:
        """The first code; from now on sign-in asks for one. The recovery codes, shown once.

        Every other session ends: it was opened with less.
        """
        asked = await self._ceremonies.look(CeremonyKind.NEW_SECOND_FACTOR, ticket)
        if asked.person_id != seen.person_id:
            raise SignInError("this was begun by somebody else: begin anew")
        secret = self._second_factor.opened(seen.person_id, asked.data["secret"])
        step = step_of(secret, code, self._now())
        if step is None:
            raise UsageError(WRONG_CODE, field="code")
        async with transaction(self._engine) as connection:
            await self._ceremonies.take(connection, CeremonyKind.NEW_SECOND_FACTOR, ticket)
            codes = await self._second_factor.set(connection, seen.person_id, secret, step)
            me = await records.user(connection, _SYSTEM, seen.person_id)
            await self._sessions.end_but(connection, seen)
            await self._audit(connection, seen, me, "user.second-factor-on")
        return codes

    async def drop_second_factor(self, seen: Seen, client: Client, *, password: str) -> None:
        """Sign-in asks for no code any more."""
        me = await self._confirmed(seen, password, client)
        async with transaction(self._engine) as connection:
            await self._second_factor.drop(connection, me.id)
            await self._audit(connection, seen, me, "user.second-factor-off")

    async def new_recovery_codes(
        self, seen: Seen, client: Client, *, password: str
    ) -> tuple[str, ...]:
        """Fresh ones, shown once; the former ones are worth nothing."""
        me = await self._confirmed(seen, password, client)
        if not me.has_second_factor:
            raise UsageError("recovery codes come with a second factor: set one up first")
        async with transaction(self._engine) as connection:
            codes = await self._second_factor.new_codes(connection, me.id)
            await self._audit(connection, seen, me, "user.recovery-codes")
        return codes

    async def recovery_codes_left(self, seen: Seen) -> int:
        """How many were not used yet."""
        async with reading(self._engine) as connection:
            return await self._second_factor.codes_left(connection, seen.person_id)

    async def begin_passkey(self, seen: Seen, client: Client, *, password: str) -> PasskeyOptions:
        """What the browser needs to make a passkey."""
        me = await self._confirmed(seen, password, client)
        return await self._passkeys.begin_registration(me.id, me.email, me.name, client)

    async def add_passkey(
        self, seen: Seen, *, ticket: str, answer: Mapping[str, Any], name: str
    ) -> int:
        """What the browser made; the passkey's id."""
        called = checked_name(name)
        async with transaction(self._engine) as connection:
            made = await self._passkeys.register(
                connection, seen.person_id, ticket=ticket, answer=answer, name=called
            )
            me = await records.user(connection, _SYSTEM, seen.person_id)
            await self._audit(connection, seen, me, "user.passkey-add", f"passkey {made}")
        return made

    async def passkeys(self, seen: Seen) -> tuple[PasskeyRecord, ...]:
        """One's passkeys."""
        return await self._passkeys.list(seen.person_id)

    async def remove_passkey(
        self, seen: Seen, client: Client, *, passkey_id: int, password: str
    ) -> None:
        """Let one sign in no more."""
        me = await self._confirmed(seen, password, client)
        async with transaction(self._engine) as connection:
            await self._passkeys.remove(connection, me.id, passkey_id)
            await self._audit(connection, seen, me, "user.passkey-remove", f"passkey {passkey_id}")

    async def _confirmed(self, seen: Seen, password: str, client: Client) -> User:
        """Oneself, once the password was right. Raises SignInError or TooManyError."""
        async with reading(self._engine) as connection:
            me = await records.user(connection, _SYSTEM, seen.person_id)
            stored = await password_of(connection, me.id)
        if not stored:
            return me
        key = account_key(me.email)
        await self._guessing.count(key, client)
        if not await self._passwords.matches(password, stored):
            raise SignInError("this is not your password", field="password")
        await self._guessing.was_right(key, client)
        return me

    async def _audit(
        self, connection: AsyncConnection, seen: Seen, me: User, action: str, detail: str = ""
    ) -> None:
        """In the log of the tenant whose member they are here; a visitor is the box's affair."""
        act = Act(
            tenant_id=BOX if seen.is_visiting else seen.tenant_id,
            at=self._now(),
            action=action,
            subject=f"user {me.id} ({me.email})",
            detail=detail,
        )
        by = Scope.system(by=me.email, address=seen.actor.scope.address)
        await record(connection, by, act)
