"""Requests: what an Idempotency-Key stands for, so that a request that is sent again is not done again.

    claim (one INSERT wins) -> the request is done -> its answer is kept for a day

A second request with the key gets the answer of the first; while that one is being done, ConflictError;
with another body, UsageError. A claim whose owner died is taken over after CLAIM ms: what the first did
durably is found again by the keys that its messages carry in the spool.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError, ReusedKeyError, UsageError
from appliance.keys.tables import api_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.scope import Scope

KEPT: Final = clock.DAY
CLAIM: Final = 2 * clock.MINUTE
MAX_KEY: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that this caller is to do, or the answer of who did it before."""

    tenant_id: int
    key: str
    claimed_until: int
    status: int = 0  # 0 = to be done
    answer: bytes = b""


class Requests:
    """The remembered requests of all tenants."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def claim(self, scope: Scope, key: str, body: bytes) -> Claim:
        """Begin a request, or get what it was answered before."""
        tenant_id, now = scope.owner(), self._now()
        digest = hashlib.sha256(body).digest()
        claim = Claim(tenant_id=tenant_id, key=checked_key(key), claimed_until=now + CLAIM)
        row = {
            "tenant_id": tenant_id,
            "key": claim.key,
            "digest": digest,
            "claimed_until": claim.claimed_until,
            "created_at": now,
            "status": 0,
            "answer": b"",
        }
        try:
            async with transaction(self._engine) as connection:
                await connection.execute(insert(api_request), row)
        except IntegrityError:
            return await self._again(claim, digest)
        return claim

    async def _again(self, claim: Claim, digest: bytes) -> Claim:
        mine = _mine(claim)
        async with reading(self._engine) as connection:
            found = (await connection.execute(select(api_request).where(*mine))).one_or_none()
        if found is None or found.created_at < self._now() - KEPT:
            return await self._renew(claim, digest, found.created_at if found else 0)
        if bytes(found.digest) != digest:
            raise ReusedKeyError(
                "this Idempotency-Key was used with another request: choose a new one for a new request",
                field="Idempotency-Key",
            )
        if found.status:
            return Claim(
                tenant_id=claim.tenant_id,
                key=claim.key,
                claimed_until=0,
                status=found.status,
                answer=bytes(found.answer),
            )
        return await self._take_over(claim, found.claimed_until)

    async def _renew(self, claim: Claim, digest: bytes, created_at: int) -> Claim:
        """A row that is too old counts as none: it is made new by whoever comes first."""
        values = {
            "digest": digest,
            "claimed_until": claim.claimed_until,
            "created_at": self._now(),
            "status": 0,
            "answer": b"",
        }
        same = api_request.c.created_at == created_at
        async with transaction(self._engine) as connection:
            done = await connection.execute(
                update(api_request).where(*_mine(claim), same).values(values)
            )
        if done.rowcount != 1:
            raise _busy()
        return claim

    async def _take_over(self, claim: Claim, seen: int) -> Claim:
        if seen > self._now():
            raise _busy()
        mine = (*_mine(claim), api_request.c.status == 0, api_request.c.claimed_until == seen)
        async with transaction(self._engine) as connection:
            statement = update(api_request).where(*mine)
            done = await connection.execute(statement.values(claimed_until=claim.claimed_until))
        if done.rowcount != 1:
            raise _busy()
        return claim

    async def finish(self, claim: Claim, status: int, answer: bytes) -> None:
        """Keep the answer. Who lost the claim keeps nothing."""
        mine = (*_mine(claim), api_request.c.claimed_until == claim.claimed_until)
        async with transaction(self._engine) as connection:
            statement = update(api_request).where(*mine)
            await connection.execute(statement.values(status=status, answer=answer))

    async def give_up(self, claim: Claim) -> None:
        """Nothing was done: whoever asks again begins anew."""
        mine = (*_mine(claim), api_request.c.claimed_until == claim.claimed_until)
        async with transaction(self._engine) as connection:
            await connection.execute(delete(api_request).where(*mine, api_request.c.status == 0))

    async def forget(self) -> None:
        """Remove what is older than a day."""
        async with transaction(self._engine) as connection:
            old = api_request.c.created_at < self._now() - KEPT
            await connection.execute(delete(api_request).where(old))


def checked_key(key: str) -> str:
    """A key as it is stored."""
    if not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise UsageError(
            f"an Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters",
            field="Idempotency-Key",
        )
    return key


def _mine(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return api_request.c.tenant_id == claim.tenant_id, api_request.c.key == claim.key


def _busy() -> ConflictError:
    return ConflictError("a request with this Idempotency-Key is being done: ask again in a moment")
