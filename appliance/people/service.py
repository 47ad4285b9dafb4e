"""Use cases of people: who there is, what they are to whom, and that they go.

A tenant's scope reaches its own members and their membership; an account as a whole (disabling it,
removing it, roles of the box) is the box's alone. Every change of a role ends the sessions of whom it
concerns. The box keeps an admin and a tenant that has owners keeps one; that holds also for two who
remove each other at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, update

from appliance.core import clock
from appliance.core.database import reading, transaction
from appliance.core.errors import ForbiddenError, NotFoundError
from appliance.core.scope import BOX
from appliance.people import records
from appliance.people.rules import checked_email, checked_name, checked_role, folded_email
from appliance.people.sessions import end_all
from appliance.people.tables import person, recovery_code
from appliance.tenancy import Act, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope
    from appliance.people.model import PeopleCounts, User

MAX_PAGE = 1000


class Users:
    """The people of the box."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def create(
        self, scope: Scope, *, email: str, name: str, role: str, tenant_id: int = BOX
    ) -> User:
        """Add somebody who has no password yet: a link lets them choose one. For the box's admin.

        A tenant invites instead, and so is not told who has an account. Raises ConflictError.
        """
        _only_system(scope)
        wanted = checked_role(role, tenant_id)
        values = {
            "email": checked_email(email),
            "name": checked_name(name),
            "created_at": self._now(),
        }
        async with transaction(self._engine) as connection:
            person_id = await records.add_person(connection, values)
            await records.set_role(connection, person_id, tenant_id, wanted, self._now())
            made = await records.user(connection, scope, person_id)
            await self._audit(connection, scope, made, "user.create", tenant_id, f"role={wanted}")
        return made

    async def list(
        self,
        scope: Scope,
        *,
        after: int = 0,
        limit: int = 100,
        prefix: str = "",
        staff_only: bool = False,
    ) -> tuple[User, ...]:
        """A page of the users whom the scope sees, behind the id `after`; `prefix`: of an address.

        `staff_only`: those who are something to the box, which a tenant is never told.
        """
        async with reading(self._engine) as connection:
            return await records.users(
                connection,
                scope,
                after=after,
                limit=max(1, min(limit, MAX_PAGE)),
                prefix=folded_email(prefix),
                staff_only=staff_only and scope.is_system,
            )

    async def counts(self, scope: Scope) -> PeopleCounts:
        """How many users the scope sees, and how many of them have no second factor."""
        async with reading(self._engine) as connection:
            return await records.counts(connection, scope)

    async def get(self, scope: Scope, person_id: int) -> User:
        """One of them. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await records.user(connection, scope, person_id)

    async def find(self, scope: Scope, email: str) -> User:
        """By the address. Raises NotFoundError, also for somebody whom the scope does not see."""
        async with reading(self._engine) as connection:
            row = await records.by_email(connection, folded_email(email))
            if row is not None:
                return await records.user(connection, scope, row["id"])
        raise NotFoundError("no user has this address: `pillarbox user list` shows them")

    async def set_role(
        self, scope: Scope, person_id: int, role: str, *, tenant_id: int = BOX
    ) -> User:
        """What somebody is to a tenant, or to the box (0), from now on. Their sessions end.

        Raises ConflictError for the last admin or owner.
        """
        owner = _owner(scope, tenant_id)
        wanted = checked_role(role, owner)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await records.set_role(connection, found.id, owner, wanted, self._now())
            await self._audit(connection, scope, found, "user.role", owner, f"role={wanted}")
            return await records.user(connection, scope, person_id)

    async def take_role(self, scope: Scope, person_id: int, *, tenant_id: int = BOX) -> None:
        """Somebody is nothing to that tenant, or to the box (0), from now on.

        Whose last role it was is removed altogether. Raises ConflictError for the last admin or owner.
        """
        owner = _owner(scope, tenant_id)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await records.set_role(connection, found.id, owner, None, self._now())
            await self._audit(connection, scope, found, "user.leave", owner)
            if await records.has_no_role(connection, found.id):
                await records.delete_person(connection, found.id)

    async def remove(self, scope: Scope, person_id: int) -> None:
        """A tenant's scope ends a membership; the box's removes the account with all it had.

        Raises ConflictError for the last admin, or the last owner of a tenant.
        """
        if scope.tenant_id is not None:
            await self.take_role(scope, person_id, tenant_id=scope.tenant_id)
            return
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await self._keep_others(connection, found)
            await self._audit(connection, scope, found, "user.remove", BOX)
            await records.delete_person(connection, found.id)

    async def disable(self, scope: Scope, person_id: int) -> User:
        """Let somebody not sign in any more; sessions end now. For the box's admin."""
        _only_system(scope)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await self._keep_others(connection, found)
            await self._set(connection, person_id, disabled_at=found.disabled_at or self._now())
            await end_all(connection, person_id)
            await self._audit(connection, scope, found, "user.disable", BOX)
            return await records.user(connection, scope, person_id)

    async def enable(self, scope: Scope, person_id: int) -> User:
        """Let a disabled one sign in again. For the box's admin."""
        _only_system(scope)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await self._set(connection, person_id, disabled_at=0)
            await self._audit(connection, scope, found, "user.enable", BOX)
            return await records.user(connection, scope, person_id)

    async def rename(self, scope: Scope, person_id: int, name: str) -> User:
        """Change a name. For the box's admin; one's own goes through `Account`."""
        _only_system(scope)
        wanted = checked_name(name)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await self._set(connection, person_id, name=wanted)
            await self._audit(connection, scope, found, "user.rename", BOX)
            return await records.user(connection, scope, person_id)

    async def end_sessions(self, scope: Scope, person_id: int) -> int:
        """Sign somebody out everywhere; how many sessions there were. For the box's admin."""
        _only_system(scope)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            count = await end_all(connection, person_id)
            await self._audit(
                connection, scope, found, "user.end-sessions", BOX, f"sessions={count}"
            )
        return count

    async def drop_second_factor(self, scope: Scope, person_id: int) -> User:
        """For somebody who lost the device and the recovery codes. For the box's admin."""
        _only_system(scope)
        async with transaction(self._engine) as connection:
            found = await records.user(connection, scope, person_id)
            await self._set(connection, person_id, totp_secret="")
            codes = delete(recovery_code).where(recovery_code.c.person_id == person_id)
            await connection.execute(codes)
            await end_all(connection, person_id)
            await self._audit(connection, scope, found, "user.second-factor-dropped", BOX)
            return await records.user(connection, scope, person_id)

    async def _keep_others(self, connection: AsyncConnection, found: User) -> None:
        """Raise ConflictError when somebody cannot be done without."""
        if found.disabled_at:
            return  # they could not let anybody in as it is
        await records.keep_an_admin(connection, found.id)
        for tenant_id in await records.tenants_of(connection, found.id):
            await records.keep_an_owner(connection, found.id, tenant_id)

    async def _set(self, connection: AsyncConnection, person_id: int, **values: str | int) -> None:
        await connection.execute(update(person).where(person.c.id == person_id).values(values))

    async def _audit(
        self,
        connection: AsyncConnection,
        scope: Scope,
        found: User,
        action: str,
        tenant_id: int,
        detail: str = "",
    ) -> None:
        subject = f"user {found.id} ({found.email})"
        act = Act(
            tenant_id=tenant_id, at=self._now(), action=action, subject=subject, detail=detail
        )
        await record(connection, scope, act)


def _owner(scope: Scope, tenant_id: int) -> int:
    """Whose role is meant: a tenant's scope means its own, and never the box's."""
    if scope.tenant_id is None:
        return tenant_id
    if tenant_id not in (BOX, scope.tenant_id):
        raise NotFoundError(f"there is no tenant {tenant_id}")
    return scope.tenant_id


def _only_system(scope: Scope) -> None:
    if not scope.is_system:
        raise ForbiddenError("an account as a whole is for the box's admin to change")
