"""Desk: everything of the room over one store, put together once for a process.

The web asks `sessions` at every request and the others when somebody comes, goes or changes something.
`tidy` is for the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.database import transaction
from appliance.people import links
from appliance.people.account import Account
from appliance.people.ceremonies import Ceremonies
from appliance.people.first_admin import FirstAdmin
from appliance.people.guessing import Guessing
from appliance.people.invitations import Invitations
from appliance.people.letters import Deferred
from appliance.people.passkeys import Passkeys
from appliance.people.password_links import PasswordLinks
from appliance.people.passwords import Passwords
from appliance.people.second_factor import SecondFactor
from appliance.people.service import Users
from appliance.people.sessions import Sessions
from appliance.people.sign_in import Door, SignIn
from appliance.people.single_sign_on import SingleSignOn

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.people.letters import Letters
    from appliance.people.model import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where people come in."""

    users: Users
    invitations: Invitations
    sessions: Sessions
    sign_in: SignIn
    single_sign_on: SingleSignOn
    passkeys: Passkeys
    password_links: PasswordLinks
    first_admin: FirstAdmin
    account: Account
    letters: Deferred


def open_desk(
    engine: AsyncEngine,
    keys: MasterKeys,
    options: Options,
    letters: Letters,
    now: Callable[[], int] = clock.now_ms,
    *,
    passwords: Passwords | None = None,
) -> Desk:
    """The room of one process."""
    hasher, guessing, later = passwords or Passwords(), Guessing(engine, now), Deferred(letters)
    sessions, ceremonies = Sessions(engine, keys, options, now), Ceremonies(engine, now)
    factor, door = SecondFactor(keys, now), Door(sessions, ceremonies, now)
    invitations = Invitations(
        engine,
        options=options,
        passwords=hasher,
        guessing=guessing,
        door=door,
        deliver=letters,
        now=now,
    )
    passkeys = Passkeys(
        engine, keys=keys, options=options, ceremonies=ceremonies, door=door, now=now
    )
    return Desk(
        users=Users(engine, now),
        invitations=invitations,
        sessions=sessions,
        sign_in=SignIn(
            engine,
            passwords=hasher,
            guessing=guessing,
            ceremonies=ceremonies,
            second_factor=factor,
            door=door,
        ),
        single_sign_on=SingleSignOn(
            engine,
            options=options,
            ceremonies=ceremonies,
            invitations=invitations,
            door=door,
            now=now,
        ),
        passkeys=passkeys,
        password_links=PasswordLinks(
            engine,
            options=options,
            passwords=hasher,
            guessing=guessing,
            send=later,
            deliver=letters,
            now=now,
        ),
        first_admin=FirstAdmin(engine, passwords=hasher, door=door, now=now),
        account=Account(
            engine,
            options=options,
            passwords=hasher,
            guessing=guessing,
            ceremonies=ceremonies,
            second_factor=factor,
            passkeys=passkeys,
            sessions=sessions,
            send=later,
            now=now,
        ),
        letters=later,
    )


async def tidy(
    engine: AsyncEngine,
    keys: MasterKeys,
    options: Options,
    now: Callable[[], int] = clock.now_ms,
) -> None:
    """Forget sessions, links, ceremonies and counters that are over."""
    await Sessions(engine, keys, options, now).forget()
    await Ceremonies(engine, now).forget()
    await Guessing(engine, now).forget()
    async with transaction(engine) as connection:
        await links.forget(connection, now())
