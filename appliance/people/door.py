"""Door: the last step of every way in.

It asks for a code where there is a second factor, opens the session, and writes down that somebody came and
from where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.people.ceremonies import CeremonyKind
from appliance.people.model import SecondFactorNeeded
from appliance.people.rules import CEREMONY_LIFE
from appliance.people.tables import person
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.ceremonies import Ceremonies
    from appliance.people.model import Client, Opened
    from appliance.people.sessions import Sessions


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
            tenant_id=opened.tenant_id,
            at=self._now(),
            action="user.sign-in",
            subject=f"user {person_id} ({email})",
        )
        await record(connection, Scope.system(by=email, address=client.address), act)
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
