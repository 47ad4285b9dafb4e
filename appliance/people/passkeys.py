"""Passkeys (WebAuthn): a key in a device or a password manager that signs what the box asks.

A passkey is a whole sign-in: the device has asked for a finger, a face or a PIN (user verification is
required), so no code is asked for besides. The box need not be told who comes: the passkey says so, and
whoever has none learns nothing about who has. What is asked is kept by the box, once, for five minutes.
A passkey whose count of uses does not rise was copied, and is refused; those that do not count (synced
ones) say 0 always.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import webauthn
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError, NotFoundError, SignInError, UsageError
from appliance.people.ceremonies import CeremonyKind
from appliance.people.model import PasskeyOptions, PasskeyRecord
from appliance.people.tables import passkey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
    from webauthn.registration.verify_registration_response import VerifiedRegistration

    from appliance.people.ceremonies import Ceremony
    from appliance.people.kit import Kit
    from appliance.people.model import Client, Opened

MOST_OF_ONE: Final = 20
_WRONG: Final = "this passkey is not known here, or may not sign in"
_BAD: Final = "the browser's answer does not fit what was asked: begin anew"


class Passkeys:
    """Makes passkeys known and lets people in with them."""

    def __init__(self, kit: Kit) -> None:
        self._engine, self._keys, self._now = kit.engine, kit.keys, kit.now
        self._ceremonies, self._door = kit.ceremonies, kit.door
        self._box_name = kit.options.box_name
        place = urlsplit(kit.options.public_url)
        self._host, self._origin = place.hostname or "", f"{place.scheme}://{place.netloc}"

    async def begin_registration(
        self, person_id: int, email: str, name: str, client: Client
    ) -> PasskeyOptions:
        """What a browser needs to make one; somebody's other devices are left out."""
        async with reading(self._engine) as connection:
            known = await connection.execute(
                select(passkey.c.credential_id).where(passkey.c.person_id == person_id)
            )
            others = [
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known.scalars()
            ]
        if len(others) >= MOST_OF_ONE:
            raise ConflictError(f"you have {MOST_OF_ONE} passkeys: remove one first")
        made = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name=self._box_name,
            user_id=self._handle(person_id),
            user_name=email,
            user_display_name=name,
            exclude_credentials=others,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
        )
        data = {"challenge": bytes_to_base64url(made.challenge)}
        ticket = await self._ceremonies.begin(
            CeremonyKind.NEW_PASSKEY, data, client, person_id=person_id
        )
        return PasskeyOptions(ticket=ticket, options=msgspec.json.decode(options_to_json(made)))

    async def register(
        self,
        connection: AsyncConnection,
        person_id: int,
        *,
        ticket: str,
        answer: Mapping[str, Any],
        name: str,
    ) -> int:
        """Make one known, in the transaction of whoever writes it down; its id. Raises UsageError."""
        asked = await self._ceremonies.take(connection, CeremonyKind.NEW_PASSKEY, ticket)
        if asked.person_id != person_id:
            raise UsageError(_BAD)
        made = self._verified_registration(answer, asked)
        row = {
            "person_id": person_id,
            "credential_id": bytes_to_base64url(made.credential_id),
            "public_key": made.credential_public_key,
            "sign_count": made.sign_count,
            "name": name,
            "created_at": self._now(),
            "used_at": 0,
        }
        try:
            done = await connection.execute(insert(passkey).values(row).returning(passkey.c.id))
        except IntegrityError as error:
            raise ConflictError("this passkey is known already") from error
        return int(done.scalar_one())

    async def begin_sign_in(self, client: Client) -> PasskeyOptions:
        """What a browser needs to use one, whoever's it is."""
        made = webauthn.generate_authentication_options(
            rp_id=self._host, user_verification=UserVerificationRequirement.REQUIRED
        )
        data = {"challenge": bytes_to_base64url(made.challenge)}
        ticket = await self._ceremonies.begin(CeremonyKind.PASSKEY, data, client)
        return PasskeyOptions(ticket=ticket, options=msgspec.json.decode(options_to_json(made)))

    async def sign_in(self, ticket: str, answer: Mapping[str, Any], client: Client) -> Opened:
        """A session for whose passkey it is. Raises SignInError."""
        asked = await self._ceremonies.end(CeremonyKind.PASSKEY, ticket)
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                select(passkey).where(passkey.c.credential_id == str(answer.get("id"))[:1024])
            )
            row = found.mappings().one_or_none()
            if row is None:
                raise SignInError(_WRONG)
            used = self._verified_use(answer, asked, row)
            rises = (passkey.c.id == row["id"], passkey.c.sign_count == row["sign_count"])
            values = {"sign_count": used.new_sign_count, "used_at": self._now()}
            done = await connection.execute(update(passkey).where(*rises).values(values))
            if done.rowcount != 1:
                raise SignInError(_WRONG)
            return await self._door.open(connection, row["person_id"], client)

    async def list(self, person_id: int) -> tuple[PasskeyRecord, ...]:
        """Somebody's passkeys, oldest first."""
        statement = select(passkey).where(passkey.c.person_id == person_id).order_by(passkey.c.id)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(statement)).mappings()
            return tuple(
                PasskeyRecord(
                    id=row["id"],
                    name=row["name"],
                    created_at=row["created_at"],
                    used_at=row["used_at"],
                )
                for row in rows
            )

    async def remove(self, connection: AsyncConnection, person_id: int, passkey_id: int) -> None:
        """Forget one. Raises NotFoundError."""
        mine = (passkey.c.id == passkey_id, passkey.c.person_id == person_id)
        if not (await connection.execute(delete(passkey).where(*mine))).rowcount:
            raise NotFoundError(f"you have no passkey {passkey_id}")

    def _verified_registration(
        self, answer: Mapping[str, Any], asked: Ceremony
    ) -> VerifiedRegistration:
        try:
            return webauthn.verify_registration_response(
                credential=dict(answer),
                expected_challenge=base64url_to_bytes(asked.data["challenge"]),
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise UsageError(_BAD) from error

    def _verified_use(
        self, answer: Mapping[str, Any], asked: Ceremony, row: RowMapping
    ) -> VerifiedAuthentication:
        try:
            return webauthn.verify_authentication_response(
                credential=dict(answer),
                expected_challenge=base64url_to_bytes(asked.data["challenge"]),
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=row["public_key"],
                credential_current_sign_count=row["sign_count"],
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise SignInError(_WRONG) from error

    def _handle(self, person_id: int) -> bytes:
        """What the device files the passkey under; it tells nothing about the person."""
        return hmac.digest(self._keys.derive("passkey user"), str(person_id).encode(), "sha256")
