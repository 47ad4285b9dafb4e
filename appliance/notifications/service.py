"""Use cases of notifications: a person's feed, how far they have looked, what they want to hear of.

A feed is a scope's: a tenant's people see the tenant's notices, those of the box all of them. Choices are kept
where they differ from what is usual, so that a usual thing that changes changes for those who never chose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, case, delete, select

from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import UsageError
from appliance.core.scope import BOX
from appliance.notifications.model import Choice, Entry, Feed
from appliance.notifications.rules import KINDS, kind_of
from appliance.notifications.tables import choice, mailed, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.scope import Scope
    from appliance.notices import Notices

SHOWN: Final = 200


class Notifications:
    """Who is told of what."""

    def __init__(self, engine: AsyncEngine, notices: Notices) -> None:
        self._engine, self._notices = engine, notices

    async def feed(self, scope: Scope, person_id: int, *, open_only: bool = True) -> Feed:
        """What somebody should know; `person_id` 0 has chosen nothing (a key)."""
        found = await self._notices.list(scope, open_only=open_only, limit=SHOWN)
        chosen = await self._chosen(scope, [person_id]) if person_id else {}
        upto = await self._seen(scope, person_id) if person_id else 0
        shown = [
            Entry(notice=one, is_new=one.id > upto)
            for one in found
            if chosen.get((person_id, one.kind), kind_of(one.kind)).in_feed
        ]
        unseen = sum(entry.is_new for entry in shown)
        return Feed(entries=tuple(shown), unseen=unseen)

    async def look(self, scope: Scope, person_id: int, upto: int) -> None:
        """They have seen everything up to this notice."""
        row = {"person_id": person_id, "tenant_id": _place(scope), "upto": upto}
        async with transaction(self._engine) as connection:
            statement = upsert(connection, seen).values(row)
            newest = case((seen.c.upto < upto, upto), else_=seen.c.upto)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[seen.c.person_id, seen.c.tenant_id], set_={"upto": newest}
                )
            )

    async def choices(self, scope: Scope, person_id: int) -> tuple[Choice, ...]:
        """What they want to hear of, every kind."""
        chosen = await self._chosen(scope, [person_id])
        return tuple(chosen.get((person_id, name)) or _usual(name) for name in KINDS)

    async def choose(
        self, scope: Scope, person_id: int, kind: str, *, in_feed: bool, by_mail: bool
    ) -> Choice:
        """From now on they want this of it."""
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise UsageError(f"there is no kind {kind!r} of notifications: {known}", field="kind")
        key = {"person_id": person_id, "tenant_id": _place(scope), "kind": kind}
        values = {"in_feed": in_feed, "by_mail": by_mail}
        usual = kind_of(kind)
        async with transaction(self._engine) as connection:
            if (in_feed, by_mail) == (usual.in_feed, usual.by_mail):
                same = and_(*(choice.c[name] == value for name, value in key.items()))
                await connection.execute(delete(choice).where(same))
            else:
                statement = upsert(connection, choice).values(key | values)
                await connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[choice.c[name] for name in key], set_=values
                    )
                )
        return Choice(kind=kind, title=usual.title, in_feed=in_feed, by_mail=by_mail)

    async def want_mail(self, scope: Scope, people: Iterable[int], kind: str) -> frozenset[int]:
        """Who of these wants mail about it."""
        asked = list(people)
        chosen = await self._chosen(scope, asked)
        usual = kind_of(kind).by_mail
        return frozenset(
            person
            for person in asked
            if (found.by_mail if (found := chosen.get((person, kind))) else usual)
        )

    async def mailed_upto(self) -> int:
        """The newest notice about which everybody has been written to."""
        async with reading(self._engine) as connection:
            found = await connection.execute(select(mailed.c.upto).where(mailed.c.id == 1))
            return int(found.scalar() or 0)

    async def mark_mailed(self, upto: int) -> None:
        """Everybody has been written to about the notices up to this one."""
        newest = case((mailed.c.upto < upto, upto), else_=mailed.c.upto)
        async with transaction(self._engine) as connection:
            statement = upsert(connection, mailed).values(id=1, upto=upto)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[mailed.c.id], set_={"upto": newest})
            )

    async def _chosen(self, scope: Scope, people: list[int]) -> Mapping[tuple[int, str], Choice]:
        mine = select(choice).where(
            choice.c.person_id.in_(people), choice.c.tenant_id == _place(scope)
        )
        async with reading(self._engine) as connection:
            rows = await connection.execute(mine)
            return {
                (row.person_id, row.kind): Choice(
                    kind=row.kind,
                    title=kind_of(row.kind).title,
                    in_feed=bool(row.in_feed),
                    by_mail=bool(row.by_mail),
                )
                for row in rows
            }

    async def _seen(self, scope: Scope, person_id: int) -> int:
        mine = select(seen.c.upto).where(
            seen.c.person_id == person_id, seen.c.tenant_id == _place(scope)
        )
        async with reading(self._engine) as connection:
            return int((await connection.execute(mine)).scalar() or 0)


def _usual(name: str) -> Choice:
    kind = kind_of(name)
    return Choice(kind=name, title=kind.title, in_feed=kind.in_feed, by_mail=kind.by_mail)


def _place(scope: Scope) -> int:
    """Choices are kept for each tenant that somebody belongs to, and for the box."""
    return BOX if scope.tenant_id is None else scope.tenant_id
