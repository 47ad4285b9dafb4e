"""Use cases of TLS reports: add counts, open the reports of a day that is over, claim, finish, forget.

Each is one statement or one transaction, and whoever claims a report has it for a time of his own: two
workers never send the same one, and after a crash it is taken up again. What was reported is deleted
with the mark that it was.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import delete, literal, select, update

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.tls_reports.model import Due, Line
from appliance.tls_reports.tables import tls_report, tls_result
from mta.transport.tls_results import TlsResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from mta.transport.tls_results import Tally

LEASE: Final = 15 * clock.MINUTE
AGAIN: Final = clock.HOUR
SOON: Final = clock.MINUTE
MAX_TRIES: Final = 24
KEPT: Final = 30 * clock.DAY
MAX_LINES: Final = 2000
"""Kinds of results in one report; the most frequent ones."""


class TlsReports:
    """Counts and reports."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def add(self, tallies: Iterable[Tally]) -> None:
        """Add what one process counted."""
        rows = sorted((_row(tally) for tally in tallies), key=_key)  # one order: no deadlock
        if not rows:
            return
        async with transaction(self._engine) as connection:
            statement = upsert(connection, tls_result)
            total = tls_result.c.total + statement.excluded.total
            keys = [tls_result.c.day, tls_result.c.domain, tls_result.c.digest]
            await connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_={"total": total}), rows
            )

    async def open(self, before: int) -> None:
        """A report becomes due for every domain with counts of a day before `before`."""
        nothing = literal(0)
        found = select(
            tls_result.c.day,
            tls_result.c.domain,
            nothing.label("tries"),
            nothing.label("try_at"),
            nothing.label("done_at"),
            literal("").label("outcome"),
        )
        found = found.where(tls_result.c.day < before).distinct()
        async with transaction(self._engine) as connection:
            insert = upsert(connection, tls_report).from_select(
                [c.name for c in tls_report.c], found
            )
            await connection.execute(insert.on_conflict_do_nothing())

    async def claim(self, limit: int) -> list[Due]:
        """Some reports that are due; each is the caller's until its lease is over."""
        now = self._now()
        async with transaction(self._engine) as connection:
            rows = await connection.execute(
                select(tls_report)
                .where(tls_report.c.done_at == 0, tls_report.c.try_at <= now)
                .order_by(tls_report.c.try_at, tls_report.c.day, tls_report.c.domain)
                .limit(limit)
            )
            claimed = []
            for row in rows.all():
                taken = await connection.execute(
                    update(tls_report)
                    .where(_is(tls_report, row.day, row.domain))
                    .where(tls_report.c.done_at == 0, tls_report.c.try_at == row.try_at)
                    .values(try_at=now + LEASE, tries=row.tries + 1)
                )
                if taken.rowcount:
                    claimed.append(
                        Due(
                            day=row.day,
                            domain=row.domain,
                            tries=row.tries + 1,
                            claimed_until=now + LEASE,
                        )
                    )
        return claimed

    async def lines(self, due: Due) -> list[Line]:
        """What the report tells."""
        statement = (
            select(tls_result.c.result, tls_result.c.total)
            .where(_is(tls_result, due.day, due.domain))
            .order_by(tls_result.c.total.desc(), tls_result.c.digest)
            .limit(MAX_LINES)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(statement)).all()
        return [Line(msgspec.json.decode(row.result, type=TlsResult), row.total) for row in rows]

    async def sent(self, due: Due, words: str) -> bool:
        """It is delivered; False when somebody else was faster."""
        return await self._finish(due, words)

    async def not_sent(self, due: Due, words: str) -> bool:
        """It could not be delivered: again in an hour, for a day."""
        if due.tries >= MAX_TRIES:
            return await self._finish(due, words)
        return await self._give_back(due, try_at=self._now() + AGAIN, outcome=words)

    async def postponed(self, due: Due, words: str) -> bool:
        """Our own queue does not take mail now: again in a minute, which counts as no try."""
        soon = self._now() + SOON
        return await self._give_back(due, try_at=soon, outcome=words, tries=due.tries - 1)

    async def _give_back(self, due: Due, **values: object) -> bool:
        async with transaction(self._engine) as connection:
            moved = await connection.execute(
                update(tls_report).where(_is_claim(due)).values(values)
            )
            return bool(moved.rowcount)

    async def unwanted(self, due: Due) -> bool:
        """The domain asks for no reports: nothing of it is kept."""
        async with transaction(self._engine) as connection:
            gone = await connection.execute(delete(tls_report).where(_is_claim(due)))
            if gone.rowcount:
                await connection.execute(
                    delete(tls_result).where(_is(tls_result, due.day, due.domain))
                )
            return bool(gone.rowcount)

    async def forget(self) -> None:
        """Drop what is older than a month."""
        before = self._now() - KEPT
        async with transaction(self._engine) as connection:
            await connection.execute(delete(tls_report).where(tls_report.c.day < before))
            await connection.execute(delete(tls_result).where(tls_result.c.day < before))

    async def _finish(self, due: Due, words: str) -> bool:
        async with transaction(self._engine) as connection:
            done = await connection.execute(
                update(tls_report).where(_is_claim(due)).values(done_at=self._now(), outcome=words)
            )
            if done.rowcount:
                await connection.execute(
                    delete(tls_result).where(_is(tls_result, due.day, due.domain))
                )
            return bool(done.rowcount)


def _row(tally: Tally) -> dict[str, Any]:
    result = msgspec.json.encode(tally.result, order="deterministic")
    return {
        "day": tally.day,
        "domain": tally.result.policy.domain,
        "digest": hashlib.sha256(result).hexdigest()[:32],
        "result": result.decode(),
        "total": tally.count,
    }


def _key(row: dict[str, Any]) -> tuple[int, str, str]:
    return row["day"], row["domain"], row["digest"]


def _is(table: Table, day: int, domain: str) -> ColumnElement[bool]:
    return (table.c.day == day) & (table.c.domain == domain)


def _is_claim(due: Due) -> ColumnElement[bool]:
    """Nobody has taken it over since: the lease is still the one that was given."""
    return (
        _is(tls_report, due.day, due.domain)
        & (tls_report.c.done_at == 0)
        & (tls_report.c.try_at == due.claimed_until)
    )
