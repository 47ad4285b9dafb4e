"""Passwords: Argon2id, in a thread, so many at once as memory bears.

Parameters are RFC 9106's second recommendation (64 MiB, three passes, four lanes); a hash that was made
with others is made anew at the next sign-in. Where there is no password to compare with, one that
nobody knows is compared instead, so that an unknown address costs what a known one does.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from appliance.people.rules import MOST_PASSWORD, normal_password

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

AT_ONCE: Final = 2  # 64 MiB each


class Passwords:
    """Hashes and compares."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What is stored of it."""
        return await self._in_turn(lambda: self._hasher.hash(normal_password(password)))

    async def matches(self, password: str, stored: str) -> bool:
        """Whether it is the stored one; with nothing stored it is not, at the same price."""
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_urlsafe())
        against = stored or self._nobodys
        given = normal_password(password[: MOST_PASSWORD + 1])
        return await self._in_turn(lambda: self._verify(against, given)) and bool(stored)

    def is_old(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, given: str) -> bool:
        try:
            return self._hasher.verify(stored, given)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._slots:
            return await asyncio.to_thread(work)
