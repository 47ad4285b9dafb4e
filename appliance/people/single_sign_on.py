"""Single sign-on: a browser goes to an issuer (Google, Microsoft, another one) and comes back with a code.

State, nonce and PKCE verifier are kept by the box; the browser has a ticket in a cookie, so that nobody can be
signed in with somebody else's return. In come those alone whose verified address has an account, or an open
invitation, which is accepted by coming. A second factor that somebody has set up here is asked for all the
same. Whoever is refused is told that, and not why: the log says.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Final

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from appliance.core.database import transaction
from appliance.core.errors import NotFoundError, SignInError, UsageError
from appliance.people import records
from appliance.people.ceremonies import CeremonyKind
from appliance.people.issuer import Issuer, IssuerError
from appliance.people.model import Departure
from appliance.people.rules import DEPARTURE_LIFE, checked_email, checked_name
from appliance.people.tokens import new_token

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.invitations import Invitations
    from appliance.people.issuer import Identity
    from appliance.people.kit import Kit
    from appliance.people.model import Client, SignedIn

PATH: Final = "/api/v1/sign-in/oidc/{name}/callback"
"""Where issuers send browsers back to; what an admin registers there."""

_REFUSED: Final = "{name} did not let you in here: ask who invited you, or sign in with a password"
_MOST_CODE: Final = 4096
_log = logging.getLogger(__name__)


class SingleSignOn:
    """Sign-in by others."""

    def __init__(self, kit: Kit, invitations: Invitations) -> None:
        self._engine, self._ceremonies, self._door = kit.engine, kit.ceremonies, kit.door
        self._invitations, self._public_url = invitations, kit.options.public_url
        self._issuers = {one.name: Issuer(one, kit.now) for one in kit.options.providers}

    @property
    def names(self) -> tuple[str, ...]:
        """The issuers that people may come from."""
        return tuple(self._issuers)

    def callback_url(self, name: str) -> str:
        """Where this issuer sends browsers back to."""
        return self._public_url + PATH.format(name=name)

    async def depart(self, name: str, client: Client) -> Departure:
        """Where to send a browser. Raises NotFoundError, or SignInError when the issuer is not there."""
        issuer, state, nonce, verifier = self._issuer(name), new_token(), new_token(), new_token()
        try:
            url = await issuer.departure(
                self.callback_url(name),
                state=state,
                nonce=nonce,
                challenge=create_s256_code_challenge(verifier),
            )
        except IssuerError as error:
            _log.warning("sign-in by %s is not possible: %s", name, error)
            raise SignInError(f"{name} does not answer as it should: try again later") from error
        data = {"name": name, "state": state, "nonce": nonce, "verifier": verifier}
        ticket = await self._ceremonies.begin(
            CeremonyKind.DEPARTURE, data, client, life=DEPARTURE_LIFE
        )
        return Departure(url=url, ticket=ticket)

    async def arrive(
        self, name: str, client: Client, *, ticket: str, state: str, code: str
    ) -> SignedIn:
        """Somebody is back. Raises SignInError."""
        kept = (await self._ceremonies.end(CeremonyKind.DEPARTURE, ticket)).data
        is_ours = hmac.compare_digest(kept["state"].encode(), state.encode("utf-8", "replace"))
        if kept["name"] != name or not is_ours or len(code) > _MOST_CODE:
            raise SignInError("this is not what was asked for: begin anew")
        try:
            who = await self._issuer(name).identity(
                self.callback_url(name), code, verifier=kept["verifier"], nonce=kept["nonce"]
            )
        except IssuerError as error:
            _log.warning("a sign-in by %s is refused: %s", name, error)
            raise SignInError(_REFUSED.format(name=name)) from error
        return await self._let_in(name, who, client)

    async def _let_in(self, name: str, who: Identity, client: Client) -> SignedIn:
        refused = SignInError(_REFUSED.format(name=name))
        if not who.is_email_verified:
            _log.warning("a sign-in by %s is refused: the address is not verified there", name)
            raise refused
        try:
            email = checked_email(who.email)
        except UsageError as error:
            raise refused from error
        async with transaction(self._engine) as connection:
            row = await self._row_of(connection, email, who, client)
            if row is None or not await records.is_welcome(connection, row):
                raise refused
            if not row["totp_secret"]:
                return await self._door.open(connection, row["id"], client)
        needed = await self._door.ask_code(row, client)
        assert needed is not None, "there is a second factor"
        return needed

    async def _row_of(
        self, connection: AsyncConnection, email: str, who: Identity, client: Client
    ) -> RowMapping | None:
        """The account of an address, made by its invitations if it has any."""
        name = _name(who, email)
        await self._invitations.enter_all(connection, email, client, name=name)
        return await records.by_email(connection, email)

    def _issuer(self, name: str) -> Issuer:
        found = self._issuers.get(name)
        if found is None:
            raise NotFoundError(f"there is no sign-in by {name[:40]!r} here")
        return found


def _name(who: Identity, email: str) -> str:
    try:
        return checked_name(who.name)
    except UsageError:
        return email.partition("@")[0]
