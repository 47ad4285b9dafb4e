"""Guessing: who tries passwords or codes waits longer after each wrong one, by account and by client.

A try is counted before anything is compared, in one statement, so that a hundred at once are a hundred
tries; what turns out right takes its own try back. Counts are in the store: a restart forgets none.
They are kept for names that nobody has as for those that somebody has. Rows are forgotten an hour after
their last try, the oldest first where there are more than MOST_ROWS; what comes in between is bounded by
what a try costs, which is a hash of Argon2.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, delete, func, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import TooManyError
from appliance.people.rules import GUESS_MEMORY, folded_email, wait_after
from appliance.people.tables import guess
from mta.submission.login import network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.people.model import Client

FREE_TRIES: Final = 5  # wrong ones of an account before it waits
FREE_TRIES_OF_CLIENT: Final = 30  # many people may sit behind one address
MOST_ROWS: Final = 100_000


def account_key(email: str) -> str:
    """The counter of an address, whether anybody has it or not; of bounded length."""
    return "account:" + hashlib.sha256(folded_email(email)[:300].encode()).hexdigest()[:32]


def code_key(person_id: int) -> str:
    """The counter of somebody's second factor: a right password does not clear it."""
    return f"code:{person_id}"


def mail_key(email: str) -> str:
    """The counter of letters to an address that anybody may ask for."""
    return "mail:" + account_key(email).partition(":")[2]


def invitation_key(email: str) -> str:
    """The counter of invitations to an address."""
    return "invitation:" + account_key(email).partition(":")[2]


def client_key(client: Client) -> str:
    """The counter of where somebody comes from."""
    return f"client:{network_of(client.address)}"[:80]


class Guessing:
    """Counts tries and makes those wait who had too many."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def count(self, key: str, client: Client | None = None) -> None:
        """One more try of an account, from there. Raises TooManyError, and counts none, before its time."""
        async with transaction(self._engine) as connection:
            # Always in this order: no two of them wait for each other on PostgreSQL.
            await self._count(connection, key, FREE_TRIES)
            if client is not None:
                await self._count(connection, client_key(client), FREE_TRIES_OF_CLIENT)

    async def was_right(self, key: str, client: Client | None = None) -> None:
        """Forget the account's wrong tries; the client has this one back."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(guess).where(guess.c.key == key))
            if client is not None:
                mine = update(guess).where(guess.c.key == client_key(client), guess.c.tries > 0)
                await connection.execute(mine.values(tries=guess.c.tries - 1))

    async def forget(self) -> None:
        """Drop what no longer counts, and what is too much."""
        beyond = select(guess.c.at).order_by(guess.c.at.desc()).offset(MOST_ROWS).limit(1)
        async with transaction(self._engine) as connection:
            old = self._now() - GUESS_MEMORY
            await connection.execute(delete(guess).where(guess.c.at < old))
            newest_beyond = (await connection.execute(beyond)).scalar()
            if newest_beyond is not None:
                await connection.execute(delete(guess).where(guess.c.at <= newest_beyond))

    async def rows(self) -> int:
        """How many counters there are."""
        async with reading(self._engine) as connection:
            found = await connection.execute(select(func.count()).select_from(guess))
            return int(found.scalar_one())

    async def _count(self, connection: AsyncConnection, key: str, free: int) -> None:
        now = self._now()
        first = {"key": key, "tries": 1, "at": now, "before_at": 0}
        tries = case((guess.c.at < now - GUESS_MEMORY, 1), else_=guess.c.tries + 1)
        statement = (
            upsert(connection, guess)
            .values(first)
            .on_conflict_do_update(
                index_elements=[guess.c.key],
                set_={"tries": tries, "at": now, "before_at": guess.c.at},
            )
            .returning(guess.c.tries, guess.c.before_at)
        )
        count, before = (await connection.execute(statement)).one()
        wait = before + wait_after(count - 1, free) - now if count > 1 else 0
        if wait > 0:  # leaving by an error takes the count back
            seconds = -(-wait // clock.SECOND)
            raise TooManyError(
                f"too many tries: try again in {seconds} seconds", seconds=int(seconds)
            )
