"""Ceremonies: what the box asked somebody and waits to be told, kept on its own side, once and not for long.

`begin` gives a ticket that the browser brings back; `end` gives what was kept with it, and to one asker
only: who asks twice at once, gets it once. One client has MOST_OF_CLIENT under way; older ones make room,
so that strangers who begin and never end fill nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import delete, insert, select

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import SignInError
from appliance.people.rules import CEREMONY_LIFE
from appliance.people.tables import ceremony
from appliance.people.tokens import hash_of, new_token
from mta.submission.login import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.people.model import Client

MOST_OF_CLIENT: Final = 50


class CeremonyKind(StrEnum):
    """What is waited for."""

    SECOND_FACTOR = "second-factor"  # a code, after a right password
    NEW_SECOND_FACTOR = "new-second-factor"  # the first code of a new one
    PASSKEY = "passkey"  # a signature
    NEW_PASSKEY = "new-passkey"  # a public key
    DEPARTURE = "departure"  # somebody's return from an issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What was kept."""

    person_id: int  # 0 = not known when it began
    data: dict[str, Any]


class Ceremonies:
    """All that is waited for."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def begin(
        self,
        kind: CeremonyKind,
        data: Mapping[str, Any],
        client: Client,
        *,
        life: int = CEREMONY_LIFE,
        person_id: int = 0,
    ) -> str:
        """Keep this for so long; the ticket."""
        ticket, place = new_token(), network_of(client.address)[:80]
        row = {
            "token_hash": hash_of(ticket),
            "kind": kind,
            "person_id": person_id,
            "client": place,
            "data": msgspec.json.encode(data).decode(),
            "expires_at": self._now() + life,
        }
        async with transaction(self._engine) as connection:
            await connection.execute(insert(ceremony).values(row))
            await _drop_beyond(connection, place)
        return ticket

    async def look(self, kind: CeremonyKind, ticket: str) -> Ceremony:
        """What was kept, without ending it. Raises SignInError."""
        async with reading(self._engine) as connection:
            found = await connection.execute(select(ceremony).where(*self._is(kind, ticket)))
            return _read(found.mappings().one_or_none())

    async def end(self, kind: CeremonyKind, ticket: str) -> Ceremony:
        """What was kept; nobody gets it again. Raises SignInError."""
        async with transaction(self._engine) as connection:
            return await self.take(connection, kind, ticket)

    async def take(self, connection: AsyncConnection, kind: CeremonyKind, ticket: str) -> Ceremony:
        """As `end`, in the transaction of what comes of it."""
        statement = delete(ceremony).where(*self._is(kind, ticket)).returning(ceremony)
        found = await connection.execute(statement)
        return _read(found.mappings().one_or_none())

    async def forget(self) -> None:
        """Drop what nobody came back for."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(ceremony).where(ceremony.c.expires_at <= self._now()))

    def _is(self, kind: CeremonyKind, ticket: str) -> tuple[Any, ...]:
        return (
            ceremony.c.token_hash == hash_of(ticket),
            ceremony.c.kind == kind,
            ceremony.c.expires_at > self._now(),
        )


async def _drop_beyond(connection: AsyncConnection, place: str) -> None:
    mine = ceremony.c.client == place
    kept = select(ceremony.c.token_hash).where(mine).order_by(ceremony.c.expires_at.desc())
    await connection.execute(
        delete(ceremony).where(mine, ceremony.c.token_hash.not_in(kept.limit(MOST_OF_CLIENT)))
    )


def _read(row: RowMapping | None) -> Ceremony:
    if row is None:
        raise SignInError("this took too long, or was done already: begin anew")
    return Ceremony(person_id=row["person_id"], data=msgspec.json.decode(row["data"]))
