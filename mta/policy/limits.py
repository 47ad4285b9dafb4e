"""Limits: recipients an hour and a day, exact over all processes and cheap on the hot path.

A process leases portions of a budget from the one place that counts (`Lease`, one conditional
UPDATE) and spends them from memory; the sum of all portions never exceeds the limit. What a process
leased and did not spend when it died counts as spent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from mta.directory import Credential, Tenant

PORTIONS = 50
"""A lease takes this part of a limit: a process commits at most 50 times to spend one."""

SURGE = 5
"""A credential above this many times its usual hour is held (MTA-3)."""


class Lease(Protocol):
    """Takes from a budget shared by all processes."""

    async def __call__(self, key: str, window: int, amount: int, limit: int) -> int:
        """How much of `amount` was granted for the window that starts at `window` (ms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One limit on one thing."""

    key: str
    limit: int
    window: int  # length, ms


class Quota:
    """Portions in hand."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._portions: dict[str, tuple[int, int]] = {}  # key -> window start, left
        self._leasing: dict[str, asyncio.Future[None]] = {}  # keys of which one is on its way

    async def take(self, bound: Bound, amount: int, now: int) -> bool:
        """Whether `amount` fits; nothing is spent when it does not."""
        if amount > bound.limit:
            return False  # could never fit: lease nothing, others would go without it
        start = now - now % bound.window
        while self._left(bound.key, start) < amount and bound.key in self._leasing:
            await asyncio.wait([self._leasing[bound.key]])  # one portion may do for several
        if self._left(bound.key, start) < amount:
            await self._lease_portion(bound, amount, start)
        left = self._left(bound.key, start)
        fits = left >= amount
        self._portions[bound.key] = (start, left - amount if fits else left)
        return fits

    async def _lease_portion(self, bound: Bound, amount: int, start: int) -> None:
        under_way = self._leasing[bound.key] = asyncio.get_running_loop().create_future()
        try:
            want = max(amount - self._left(bound.key, start), bound.limit // PORTIONS)
            granted = await self._lease(bound.key, start, want, bound.limit)
            left = self._left(bound.key, start) + granted  # others spent and gave back meanwhile
            self._portions[bound.key] = (start, left)
        finally:
            del self._leasing[bound.key]
            under_way.set_result(None)

    def _left(self, key: str, start: int) -> int:
        at, left = self._portions.get(key, (start, 0))
        return left if at == start else 0

    def give_back(self, bound: Bound, amount: int, now: int) -> None:
        """Return what was taken for something that was refused after all."""
        start = now - now % bound.window
        if self._portions.get(bound.key, (0, 0))[0] == start:
            self._portions[bound.key] = (start, self._left(bound.key, start) + amount)


def hour_key(credential_id: int) -> str:
    """The name of the shared record of what a credential used in an hour (appliance.limits)."""
    return f"credential:{credential_id}:hour"


def day_key(credential_id: int) -> str:
    """Of what it used in a day."""
    return f"credential:{credential_id}:day"


def bounds_of(credential: Credential, tenant: Tenant) -> list[Bound]:
    """The limits that refuse."""
    hour, day = clock.HOUR, clock.DAY
    wanted = (
        (hour_key(credential.id), credential.recipients_per_hour, hour),
        (day_key(credential.id), credential.recipients_per_day, day),
        (f"tenant:{tenant.id}:day", tenant.recipients_per_day, day),
    )
    return [Bound(key=key, limit=limit, window=window) for key, limit, window in wanted if limit]


async def check(
    quota: Quota, credential: Credential, tenant: Tenant, recipients: int, now: int
) -> None:
    """Take from every budget, or raise Refused with the time at which it starts anew."""
    taken: list[Bound] = []
    for bound in bounds_of(credential, tenant):
        if await quota.take(bound, recipients, now):
            taken.append(bound)
            continue
        for earlier in taken:
            quota.give_back(earlier, recipients, now)
        reset = now - now % bound.window + bound.window
        span = "an hour" if bound.window == clock.HOUR else "a day"
        raise Refused(
            450,
            "4.7.1",
            f"over quota: {bound.limit} recipients {span}; it starts anew at {clock.iso(reset)}",
        )


def give_back(
    quota: Quota, credential: Credential, tenant: Tenant, recipients: int, now: int
) -> None:
    """Return what `check` took for a message that could not be stored."""
    for bound in bounds_of(credential, tenant):
        quota.give_back(bound, recipients, now)


async def surges(quota: Quota, credential: Credential, recipients: int, now: int) -> bool:
    """Whether the credential sends above SURGE times its usual hour: a leaked password looks so."""
    if not credential.surge_hold or not credential.usual_per_hour:
        return False
    bound = Bound(
        key=f"surge:{credential.id}",
        limit=SURGE * credential.usual_per_hour,
        window=clock.HOUR,
    )
    return not await quota.take(bound, recipients, now)
