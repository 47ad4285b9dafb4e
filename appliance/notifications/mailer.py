"""Mailer: writes to people about new notices, one letter a person for what is new; a loop of the worker.

    notices behind the cursor -> who of their people wants mail -> letters into the box's own queue -> cursor

A letter carries a key made of the notices and the person, so that a crash before the cursor moves sends none
twice. A notice that is over before its turn comes is not mailed. StoreError and a queue that does not take a
letter pass: the loop rests and comes back.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core.scope import BOX, Scope
from appliance.notifications.rules import letter_of
from appliance.rights import Right, rights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.notices import Notice, Notices
    from appliance.notifications.service import Notifications
    from appliance.people import User, Users

_PAGE: Final = 200
_PEOPLE: Final = 500  # of one tenant; the rest read the console
_SYSTEM: Final = Scope.system(by="worker")


class Post(Protocol):
    """Puts a letter into the box's own queue."""

    async def send(self, to: str, subject: str, text: str, *, key: str = "") -> None:
        """Once for a key, however often it is asked for within a day."""


class Mailer:
    """Writes to people."""

    def __init__(
        self,
        *,
        notifications: Notifications,
        notices: Notices,
        users: Users,
        post: Post,
        box: str,
        url: str,
    ) -> None:
        self._notifications, self._notices, self._users = notifications, notices, users
        self._post, self._box, self._url = post, box, url

    async def step(self) -> bool:
        """Write about what is new; True when there is more."""
        upto = await self._notifications.mailed_upto()
        found = await self._notices.raised_since(_SYSTEM, upto, limit=_PAGE)
        if not found:
            return False
        for person, notices in (await self._letters(found)).values():
            await self._write(person, notices)
        await self._notifications.mark_mailed(found[-1].id)
        return len(found) == _PAGE

    async def _letters(self, found: tuple[Notice, ...]) -> Mapping[int, tuple[User, list[Notice]]]:
        by_tenant: dict[int, list[Notice]] = defaultdict(list)
        for one in found:
            if one.is_open:
                by_tenant[one.tenant_id].append(one)
        letters: dict[int, tuple[User, list[Notice]]] = {}
        for tenant_id, notices in by_tenant.items():
            people = {user.id: user for user in await self._people(tenant_id)}
            scope = _SYSTEM if tenant_id == BOX else Scope.tenant(tenant_id, by="worker")
            for one in notices:
                for person in await self._notifications.want_mail(scope, people, one.kind):
                    letters.setdefault(person, (people[person], []))[1].append(one)
        return letters

    async def _people(self, tenant_id: int) -> list[User]:
        """Those who can do something about it."""
        scope = _SYSTEM if tenant_id == BOX else Scope.tenant(tenant_id, by="worker")
        found = await self._users.list(scope, limit=_PEOPLE)
        return [user for user in found if not user.disabled_at and _cares(user, tenant_id)]

    async def _write(self, person: User, notices: list[Notice]) -> None:
        subject, text = letter_of(notices, box=self._box, url=self._url)
        key = f"notice-{notices[0].id}-{notices[-1].id}-{person.id}"
        await self._post.send(person.email, subject, text, key=key)


def _cares(user: User, tenant_id: int) -> bool:
    if tenant_id == BOX:
        return user.box_role is not None
    roles = [one.role for one in user.memberships if one.tenant_id == tenant_id]
    return Right.NOTIFICATIONS_MANAGE in rights_of(roles)
