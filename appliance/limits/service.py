"""Use cases of limits: lease, give back, read, forget; add failures.

Each is one statement, so that processes and nodes need no lock of their own. A portion whose
process died counts as used: a budget errs on the side of sending less.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, literal, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.limits.rules import failure_window, oldest_failure_window
from appliance.limits.tables import budget, login_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine


class Budgets:
    """Portions of shared budgets."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def lease(self, key: str, window: int, amount: int, limit: int) -> int:
        """Take up to `amount` of the window that began at `window`; 0 when nothing is left.

        The limit may differ from call to call (an admin raised it); no call passes its own.
        """
        if amount < 1 or limit < 1:
            return 0
        first = min(amount, limit)
        room = literal(limit) - budget.c.used
        grant = case((room < amount, room), else_=literal(amount))
        values = {"key": key, "window": window, "used": first, "granted": first}
        async with transaction(self._engine) as connection:
            statement = (
                upsert(connection, budget)
                .values(values)
                .on_conflict_do_update(
                    index_elements=[budget.c.key, budget.c.window],
                    set_={"used": budget.c.used + grant, "granted": grant},
                    where=budget.c.used < limit,
                )
                .returning(budget.c.granted)
            )
            return int((await connection.execute(statement)).scalar() or 0)

    async def give_back(self, key: str, window: int, amount: int) -> None:
        """Return the unused rest of a portion."""
        rest = case((budget.c.used < amount, 0), else_=budget.c.used - amount)
        statement = (
            update(budget).where(budget.c.key == key, budget.c.window == window).values(used=rest)
        )
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    async def used(self, key: str, window: int) -> int:
        """What has been granted so far."""
        statement = select(budget.c.used).where(budget.c.key == key, budget.c.window == window)
        async with reading(self._engine) as connection:
            return int((await connection.execute(statement)).scalar() or 0)

    async def forget(self, before: int) -> None:
        """Drop the windows that began before `before`."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(budget).where(budget.c.window < before))


class LoginFailures:
    """Failed logins of addresses and users, summed over all processes."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def add_failures(self, deltas: Mapping[str, int]) -> dict[str, int]:
        """Add what this process saw; returns the total of each key over the last ten minutes.

        A delta of 0 only asks. Keys are made by the caller: "net:192.0.2.1", "user:app".
        """
        if not deltas:
            return {}
        current, oldest = failure_window(self._now()), oldest_failure_window(self._now())
        rows = [
            {"key": key, "window": current, "total": delta}
            for key, delta in sorted(deltas.items())  # one order for all: no deadlock on PostgreSQL
            if delta > 0
        ]
        recent = (
            select(login_failure.c.key, func.sum(login_failure.c.total))
            .where(login_failure.c.key.in_(deltas), login_failure.c.window >= oldest)
            .group_by(login_failure.c.key)
        )
        async with transaction(self._engine) as connection:
            if rows:
                statement = upsert(connection, login_failure)
                total = login_failure.c.total + statement.excluded.total
                await connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[login_failure.c.key, login_failure.c.window],
                        set_={"total": total},
                    ),
                    rows,
                )
            found = Counter({key: int(total) for key, total in await connection.execute(recent)})
        return {key: found[key] for key in deltas}

    async def forget(self) -> None:
        """Drop the windows that no longer count."""
        oldest = oldest_failure_window(self._now())
        async with transaction(self._engine) as connection:
            await connection.execute(delete(login_failure).where(login_failure.c.window < oldest))
