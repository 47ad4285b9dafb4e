"""Forgotten passwords: a link by the box's own mail, that works once, for an hour.

Who asks is told the same whether the address has an account or not, and as fast: looking it up, making the
link and sending it happen after the answer. Letters to one address are slowed down as guesses are, and so
are those who ask. A new password ends every session and lets nobody in by itself: the second factor, where
there is one, is still asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, update

from appliance.core.database import reading, transaction
from appliance.core.errors import ForbiddenError
from appliance.core.scope import BOX, Scope
from appliance.people import letters, links, records
from appliance.people.guessing import account_key, mail_key
from appliance.people.model import LinkKind
from appliance.people.rules import PASSWORD_LINK_LIFE, checked_password, folded_email
from appliance.people.sessions import end_all
from appliance.people.tables import link, person
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.kit import Kit
    from appliance.people.model import Client, User

_SYSTEM = Scope.system(by="sign-in")


class PasswordLinks:
    """New passwords for those who forgot theirs."""

    def __init__(self, kit: Kit) -> None:
        self._engine, self._options, self._now = kit.engine, kit.options, kit.now
        self._passwords, self._guessing = kit.passwords, kit.guessing
        self._later = kit.later

    async def ask(self, email: str, client: Client) -> None:
        """Send a link, if anybody has this address. Raises TooManyError, and tells nothing else."""
        await self._guessing.count(mail_key(email), client)
        self._later.do(lambda: self._write(folded_email(email)))

    async def link_for(self, scope: Scope, person_id: int) -> str:
        """A link for an admin to hand over. For the box's admin. Raises NotFoundError."""
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            if not scope.is_system:  # a person may be a member of other tenants too
                raise ForbiddenError("a link to a new password is for the box's admin to make")
            url, _ = await self._make(connection, scope, found)
        return url

    async def use(self, token: str, password: str, address: str = "") -> str:
        """Choose a new password; the address that may sign in with it. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            row = await links.look(connection, LinkKind.PASSWORD, token, self._now())
        hashed = await self._passwords.hash(checked_password(password, row["email"]))
        async with transaction(self._engine) as connection:
            row = await links.use(connection, LinkKind.PASSWORD, token, self._now())
            found = await records.user(connection, _SYSTEM, row["person_id"])
            mine = update(person).where(person.c.id == found.id)
            await connection.execute(mine.values(password_hash=hashed))
            await end_all(connection, found.id)
            await self._drop_others(connection, found.id)
            by = Scope.system(by=found.email, address=address)
            await self._audit(connection, by, found, "user.password")
        await self._guessing.was_right(account_key(found.email))
        return found.email

    async def _write(self, email: str) -> None:
        async with transaction(self._engine) as connection:
            row = await records.by_email(connection, email)
            if row is None or not await records.is_welcome(connection, row):
                return
            found = await records.user(connection, _SYSTEM, row["id"])
            url, expires_at = await self._make(connection, _SYSTEM, found)
        subject, text = letters.forgotten_password(self._options, url, expires_at)
        # To the address as it is stored, never as it was typed: two that look alike are not one.
        await self._later.send(found.email, subject, text)

    async def _make(
        self, connection: AsyncConnection, scope: Scope, found: User
    ) -> tuple[str, int]:
        await self._drop_others(connection, found.id)
        values = {"person_id": found.id, "email": found.email, "by": scope.by}
        token, row = await links.make(
            connection, LinkKind.PASSWORD, values, now=self._now(), life=PASSWORD_LINK_LIFE
        )
        await self._audit(connection, scope, found, "user.password-link")
        return links.url_of(self._options.public_url, LinkKind.PASSWORD, token), row["expires_at"]

    async def _drop_others(self, connection: AsyncConnection, person_id: int) -> None:
        """One link of a person at a time."""
        its = (link.c.kind == LinkKind.PASSWORD, link.c.person_id == person_id)
        await connection.execute(delete(link).where(*its))

    async def _audit(
        self, connection: AsyncConnection, scope: Scope, found: User, action: str
    ) -> None:
        act = Act(
            tenant_id=BOX,
            at=self._now(),
            action=action,
            subject=f"user {found.id} ({found.email})",
        )
        await record(connection, scope, act)
