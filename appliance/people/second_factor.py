"""The second factor: time-based codes (RFC 6238), and recovery codes for a lost device.

A code is taken for its own step of 30 seconds and for the one before and after, and never again: the step
that was used last moves forward in a conditional UPDATE, so that of two who use one code at once, one
gets in. A recovery code has 80 random bits, is stored as a keyed hash, and is used once in the same way.
The secret is sealed to its row.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

import pyotp
from sqlalchemy import delete, func, insert, select, update

from appliance.core import clock
from appliance.people.tables import person, recovery_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.core.secrets import MasterKeys

STEP: Final = 30 * clock.SECOND
RECOVERY_CODES: Final = 10
_DRIFT: Final = (0, -1, 1)  # steps that a telephone's clock may be off
_CODE_BYTES: Final = 10
_PURPOSE: Final = "recovery code"
_NOISE: Final = re.compile(r"[\s-]+")
_LONGEST: Final = 64


def new_secret() -> str:
    """A fresh secret, base32."""
    return pyotp.random_base32()


def uri_of(secret: str, email: str, box_name: str) -> str:
    """What the QR code says."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=box_name)


def step_of(secret: str, code: str, now: int) -> int | None:
    """The step a code is of, among those that may be used now; in constant time."""
    totp, current, found = pyotp.TOTP(secret), now // STEP, None
    given = _NOISE.sub("", code[:_LONGEST]).encode("utf-8", "replace")
    for drift in _DRIFT:
        if hmac.compare_digest(totp.generate_otp(current + drift).encode(), given):
            found = current + drift
    return found


def new_recovery_code() -> str:
    """Sixteen letters and digits in groups of four."""
    text = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


class SecondFactor:
    """Checks and keeps second factors, in transactions that others open."""

    def __init__(self, keys: MasterKeys, now: Callable[[], int] = clock.now_ms) -> None:
        self._keys, self._now = keys, now

    async def accept(self, connection: AsyncConnection, person_id: int, code: str) -> bool:
        """Use a code of either kind up; False when it is none, or is used up already."""
        return await self._accept_step(connection, person_id, code) or await self._accept_recovery(
            connection, person_id, code
        )

    async def set(
        self, connection: AsyncConnection, person_id: int, secret: str, step: int
    ) -> tuple[str, ...]:
        """From now on codes of this secret are asked for; the new recovery codes, shown once."""
        values = {"totp_secret": self.sealed(person_id, secret), "totp_step": step}
        await connection.execute(update(person).where(person.c.id == person_id).values(values))
        return await self.new_codes(connection, person_id)

    async def drop(self, connection: AsyncConnection, person_id: int) -> None:
        """Ask for no codes any more."""
        values = {"totp_secret": "", "totp_step": 0}
        await connection.execute(update(person).where(person.c.id == person_id).values(values))
        await connection.execute(
            delete(recovery_code).where(recovery_code.c.person_id == person_id)
        )

    async def new_codes(self, connection: AsyncConnection, person_id: int) -> tuple[str, ...]:
        """Fresh recovery codes in the place of all former ones."""
        codes = tuple(new_recovery_code() for _ in range(RECOVERY_CODES))
        rows = [
            {"person_id": person_id, "code_hash": self._hash(person_id, code), "used_at": 0}
            for code in codes
        ]
        await connection.execute(
            delete(recovery_code).where(recovery_code.c.person_id == person_id)
        )
        await connection.execute(insert(recovery_code), rows)
        return codes

    async def codes_left(self, connection: AsyncConnection, person_id: int) -> int:
        """How many recovery codes were not used."""
        left = (recovery_code.c.person_id == person_id, recovery_code.c.used_at == 0)
        found = await connection.execute(
            select(func.count()).select_from(recovery_code).where(*left)
        )
        return int(found.scalar_one())

    async def _accept_step(self, connection: AsyncConnection, person_id: int, code: str) -> bool:
        found = await connection.execute(
            select(person.c.totp_secret).where(person.c.id == person_id)
        )
        sealed = str(found.scalar() or "")
        if not sealed:
            return False
        secret = self.opened(person_id, sealed)
        step = step_of(secret, code, self._now())
        if step is None:
            return False
        values: dict[str, str | int] = {"totp_step": step}
        if self._keys.needs_rotation(sealed):
            values["totp_secret"] = self.sealed(person_id, secret)
        newer = update(person).where(person.c.id == person_id, person.c.totp_step < step)
        return (await connection.execute(newer.values(values))).rowcount == 1

    async def _accept_recovery(
        self, connection: AsyncConnection, person_id: int, code: str
    ) -> bool:
        hashes = [self._hash(person_id, code, version) for version in self._keys.versions]
        unused = update(recovery_code).where(
            recovery_code.c.person_id == person_id,
            recovery_code.c.code_hash.in_(hashes),
            recovery_code.c.used_at == 0,
        )
        return (await connection.execute(unused.values(used_at=self._now()))).rowcount == 1

    def sealed(self, person_id: int, secret: str) -> str:
        """The secret as it may be stored."""
        return self._keys.encrypt(secret.encode(), bound_to=_place(person_id))

    def opened(self, person_id: int, sealed: str) -> str:
        """The secret itself."""
        return self._keys.decrypt(sealed, bound_to=_place(person_id)).decode()

    def _hash(self, person_id: int, code: str, version: int | None = None) -> bytes:
        plain = _NOISE.sub("", code[:_LONGEST]).lower()
        text = f"{person_id}:{plain}".encode("utf-8", "replace")
        return hmac.digest(self._keys.derive(_PURPOSE, version), text, "sha256")


def _place(person_id: int) -> str:
    return f"person:totp_secret:{person_id}"
