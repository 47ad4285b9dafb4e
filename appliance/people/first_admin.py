"""The first admin: a box has no default password; a one-time link on the terminal lets one come in.

`link` gives a link as long as the box has no admin, and each takes the former one's stead. Using it makes the
admin and signs them in; of two who use it at once, one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError
from appliance.core.scope import BOX, Scope
from appliance.people import links, records
from appliance.people.model import LinkKind
from appliance.people.rules import (
    FIRST_ADMIN_LIFE,
    checked_email,
    checked_name,
    checked_password,
)
from appliance.people.tables import link, person
from appliance.rights import Role
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.people.kit import Kit
    from appliance.people.model import Client, Opened

_THERE_IS_ONE = "the box has an admin already: sign in, or ask them to invite you"


async def first_admin_link(
    engine: AsyncEngine, public_url: str, now: Callable[[], int] = clock.now_ms
) -> str | None:
    """A fresh link to print; None once the box has an admin."""
    async with transaction(engine) as connection:
        if await _has_admin(connection):
            return None
        await connection.execute(delete(link).where(link.c.kind == LinkKind.FIRST_ADMIN))
        token, _ = await links.make(
            connection, LinkKind.FIRST_ADMIN, {}, now=now(), life=FIRST_ADMIN_LIFE
        )
    return links.url_of(public_url, LinkKind.FIRST_ADMIN, token)


class FirstAdmin:
    """Lets the first admin come in."""

    def __init__(self, kit: Kit) -> None:
        self._engine, self._now = kit.engine, kit.now
        self._passwords, self._door = kit.passwords, kit.door

    async def look(self, token: str) -> None:
        """Raises NotFoundError when the link is worth nothing."""
        async with reading(self._engine) as connection:
            await links.look(connection, LinkKind.FIRST_ADMIN, token, self._now())

    async def welcome(
        self, token: str, client: Client, *, email: str, name: str, password: str
    ) -> Opened:
        """Become the first admin. Raises NotFoundError or ConflictError."""
        await self.look(token)
        values = {"email": checked_email(email), "name": checked_name(name)}
        hashed = await self._passwords.hash(checked_password(password, values["email"]))
        now = self._now()
        async with transaction(self._engine) as connection:
            await links.use(connection, LinkKind.FIRST_ADMIN, token, now)
            if await _has_admin(connection):
                raise ConflictError(_THERE_IS_ONE)
            row = {**values, "password_hash": hashed, "created_at": now}
            person_id = await records.add_person(connection, row)
            await records.set_role(connection, person_id, BOX, Role.ADMIN, now)
            act = Act(
                tenant_id=BOX,
                at=now,
                action="user.first-admin",
                subject=f"user {person_id} ({values['email']})",
            )
            by = Scope.system(by=values["email"], address=client.address)
            await record(connection, by, act)
            return await self._door.open(connection, person_id, client)


async def _has_admin(connection: AsyncConnection) -> bool:
    statement = select(person.c.id).where(person.c.box_role == Role.ADMIN).limit(1)
    return (await connection.execute(statement)).scalar() is not None
