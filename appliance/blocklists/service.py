"""Use cases of blocklists: note a listing, note that it drained, close it; note how lists do; read; forget.

Each is one statement, so that the worker's look and a person's may meet. A listing that stands is seen
again, never doubled. Only the box's admin and the worker have a say here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, delete, select, update

from appliance.blocklists.model import ListCheck, Listing, ListState
from appliance.blocklists.tables import OPEN, blocklist, listing
from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.blocklists.model import Probe, Sighting
    from appliance.core.scope import Scope


class Blocklists:
    """Who is listed where, and how the lists do."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def note_listed(self, scope: Scope, seen: Sighting) -> Listing:
        """An address was seen on a list. The listing that stands is returned, else a new one."""
        _only_system(scope)
        at = self._now()
        now_seen: dict[str, Any] = {
            "codes": " ".join(seen.codes),
            "text": seen.text,
            "last_seen_at": at,
        }
        first = {
            "egress": seen.target.egress,
            "address": seen.target.address,
            "zone": seen.zone,
            "listed_at": at,
            "delisted_at": 0,
            "drained": False,
        }
        async with transaction(self._engine) as connection:
            statement = (
                upsert(connection, listing)
                .values(now_seen | first)
                .on_conflict_do_update(
                    index_elements=[listing.c.egress, listing.c.address, listing.c.zone],
                    index_where=OPEN,
                    set_=now_seen,
                )
                .returning(listing)
            )
            return _to_listing((await connection.execute(statement)).mappings().one())

    async def note_drained(self, scope: Scope, listing_id: int) -> None:
        """The egress is held back for this listing."""
        _only_system(scope)
        statement = update(listing).where(listing.c.id == listing_id).values(drained=True)
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    async def close(self, scope: Scope, listing_id: int) -> bool:
        """It is listed no more; returns whether it was until now."""
        _only_system(scope)
        statement = (
            update(listing)
            .where(listing.c.id == listing_id, listing.c.delisted_at == 0)
            .values(delisted_at=self._now())
        )
        async with transaction(self._engine) as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def listings(
        self, scope: Scope, *, open_only: bool = True, after: int = 0, limit: int | None = None
    ) -> tuple[Listing, ...]:
        """What is listed, oldest first, behind the id `after`; without `open_only` what was, too."""
        _only_system(scope)
        statement = select(listing).where(listing.c.id > after).order_by(listing.c.id).limit(limit)
        if open_only:
            statement = statement.where(listing.c.delisted_at == 0)
        async with reading(self._engine) as connection:
            return tuple(map(_to_listing, (await connection.execute(statement)).mappings()))

    async def note_probes(self, scope: Scope, probes: Mapping[str, Probe]) -> None:
        """How the lists did just now, by zone."""
        _only_system(scope)
        at = self._now()
        rows = [
            {
                "zone": zone,
                "state": probe.state,
                "why": probe.why[:500],
                "checked_at": at,
                "since": at,
            }
            for zone, probe in sorted(probes.items())  # one order for all: no deadlock
        ]
        if not rows:
            return
        async with transaction(self._engine) as connection:
            statement = upsert(connection, blocklist)
            new = statement.excluded
            since = case((blocklist.c.state == new.state, blocklist.c.since), else_=new.since)
            kept = {"state": new.state, "why": new.why, "checked_at": new.checked_at}
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[blocklist.c.zone], set_=kept | {"since": since}
                ),
                rows,
            )

    async def checks(self, scope: Scope) -> dict[str, ListCheck]:
        """How each list did last, by zone."""
        _only_system(scope)
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(blocklist).order_by(blocklist.c.zone))
            return {row["zone"]: _to_check(row) for row in rows.mappings()}

    async def forget(self, scope: Scope, before: int) -> None:
        """Drop listings that ended, and lists that were asked last, before `before`."""
        _only_system(scope)
        over = and_(listing.c.delisted_at > 0, listing.c.delisted_at < before)
        async with transaction(self._engine) as connection:
            await connection.execute(delete(listing).where(over))
            await connection.execute(delete(blocklist).where(blocklist.c.checked_at < before))


def _only_system(scope: Scope) -> None:
    if not scope.is_system:
        raise UsageError("only the box's admin may see and change what blocklists say")


def _to_listing(row: RowMapping) -> Listing:
    return Listing(**{**row, "codes": tuple(row["codes"].split())})


def _to_check(row: RowMapping) -> ListCheck:
    return ListCheck(**{**row, "state": ListState(row["state"])})
