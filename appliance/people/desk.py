"""Desk: everything of the room over one store, put together once for a process.

The web asks `sessions` at every request and the others when somebody comes, goes or changes something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.people.account import Account
from appliance.people.first_admin import FirstAdmin
from appliance.people.invitations import Invitations
from appliance.people.kit import kit_of
from appliance.people.passkeys import Passkeys
from appliance.people.password_links import PasswordLinks
from appliance.people.service import Users
from appliance.people.sign_in import SignIn
from appliance.people.single_sign_on import SingleSignOn

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.people.letters import Deferred, Letters
    from appliance.people.model import Options
    from appliance.people.passwords import Passwords
    from appliance.people.sessions import Sessions


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
    options: Options


def open_desk(
    engine: AsyncEngine,
    keys: MasterKeys,
    options: Options,
    letters: Letters,
    *,
    now: Callable[[], int] = clock.now_ms,
    passwords: Passwords | None = None,
) -> Desk:
    """The room of one process."""
    kit = kit_of(engine, keys, options, letters, now=now, passwords=passwords)
    invitations, passkeys = Invitations(kit), Passkeys(kit)
    return Desk(
        users=Users(engine, now),
        invitations=invitations,
        sessions=kit.sessions,
        sign_in=SignIn(kit),
        single_sign_on=SingleSignOn(kit, invitations),
        passkeys=passkeys,
        password_links=PasswordLinks(kit),
        first_admin=FirstAdmin(kit),
        account=Account(kit, passkeys),
        letters=kit.later,
        options=options,
    )
