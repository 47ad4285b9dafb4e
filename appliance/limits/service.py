"""Use cases of limits: lease, give back, read, forget; add failures.

Each is one statement, so that processes and nodes need no lock of their own; a lease from several
windows at once, or of several budgets, locks their rows, always in the same order: no deadlock on
PostgreSQL. A portion whose process died counts as used: a budget errs on the side of sending less.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, delete, func, literal, not_, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.limits.rules import (
    KEPT_LONGER,
    failure_window,
    oldest_failure_window,
    share_out,
)
from appliance.limits.tables import budget, login_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.dialects.sqlite import Insert
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.limits.rules import Ask


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

    async def lease_each(self, asks: Sequence[Ask]) -> list[int]:
        """As `lease`, for many who ask at the same time; what each is granted."""
        if len(asks) == 1:
            return [await self.lease(*asks[0])]
        places = sorted({ask.budget for ask in asks})
        async with transaction(self._engine) as connection:
            await connection.execute(_locked(connection), _untouched(places))
            keys, windows = zip(*places, strict=True)
            found = await connection.execute(_used_in(set(keys), set(windows)))
            before = {(key, int(window)): int(used) for key, window, used in found}
            after = {place: before[place] for place in places}
            granted = share_out(asks, after)
            taken = [place for place in places if after[place] != before[place]]
            if taken:
                await connection.execute(_SET_USED, [_now_used(at, after[at]) for at in taken])
        return granted

    async def lease_all(
        self, key: str, limits: Mapping[int, int], amount: int
    ) -> tuple[int, dict[int, int]]:
        """Take up to `amount`, the same of every window, each with its limit; also what is used of each.

        What one window has no room for is taken from none.
        """
        starts = sorted(limits)
        ours = (budget.c.key == key, budget.c.window.in_(starts))
        async with transaction(self._engine) as connection:
            rows = _untouched([(key, start) for start in starts])
            await connection.execute(_locked(connection), rows)
            found = await connection.execute(select(budget.c.window, budget.c.used).where(*ours))
            used = {int(start): int(count) for start, count in found}
            granted = max(0, min(amount, *(limits[start] - used[start] for start in starts)))
            if granted:
                values = {"used": budget.c.used + granted, "granted": granted}
                await connection.execute(update(budget).where(*ours).values(values))
        return granted, {start: used[start] + granted for start in starts}

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

    async def used_in(
        self, keys: Collection[str], windows: Collection[int]
    ) -> dict[tuple[str, int], int]:
        """What is used of these budgets, by key and window."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_used_in(keys, windows))
            return {(key, int(window)): int(used) for key, window, used in rows}

    async def used_of(self, prefix: str, windows: Collection[int]) -> dict[tuple[str, int], int]:
        """What is used of every budget whose key begins so, by key and window."""
        statement = select(budget.c.key, budget.c.window, budget.c.used).where(
            budget.c.key.startswith(prefix, autoescape=True), budget.c.window.in_(windows)
        )
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement)
            return {(key, int(window)): int(used) for key, window, used in rows}

    async def forget(self, before: int, *, prefix: str = "") -> None:
        """Drop the windows that began before `before`, of keys that begin so.

        Without a prefix it leaves alone what KEPT_LONGER names: whoever counts there forgets by itself.
        """
        if prefix:
            meant = [budget.c.key.startswith(prefix, autoescape=True)]
        else:
            meant = [not_(budget.c.key.startswith(one, autoescape=True)) for one in KEPT_LONGER]
        statement = delete(budget).where(budget.c.window < before, *meant)
        async with transaction(self._engine) as connection:
            await connection.execute(statement)


_SET_USED: Final = (
    update(budget)
    .where(budget.c.key == bindparam("its_key"), budget.c.window == bindparam("its_window"))
    .values(used=bindparam("now"))
)


def _now_used(place: tuple[str, int], used: int) -> dict[str, Any]:
    return {"its_key": place[0], "its_window": place[1], "now": used}


def _untouched(places: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"key": key, "window": window, "used": 0, "granted": 0} for key, window in places]


def _locked(connection: AsyncConnection) -> Insert:
    """Makes the rows that are missing and locks those that are there."""
    return upsert(connection, budget).on_conflict_do_update(
        index_elements=[budget.c.key, budget.c.window], set_={"used": budget.c.used}
    )


def _used_in(keys: Collection[str], windows: Collection[int]) -> Select[Any]:
    return select(budget.c.key, budget.c.window, budget.c.used).where(
        budget.c.key.in_(keys), budget.c.window.in_(windows)
    )


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
