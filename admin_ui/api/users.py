"""Users: who may come in and what they are; and invitations, by which they come.

For a tenant's askers these are its members, and removing one ends a membership. What concerns an account as a
whole is the box's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import Id, Whose, cut, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind
from appliance.core.scope import BOX
from appliance.people import Invitation, User
from appliance.rights import Right, Role

_USER: Final = {
    "id": 5,
    "email": "ada@shop.example",
    "name": "Ada Lovelace",
    "box_role": None,
    "memberships": [{"tenant_id": 3, "role": "owner"}],
    "has_password": True,
    "has_second_factor": True,
    "created_at": "2026-11-20T10:00:00Z",
    "disabled_at": None,
    "signed_in_at": "2026-11-21T08:00:00Z",
}
_INVITATION: Final = {
    "id": 7,
    "tenant_id": 3,
    "email": "bob@shop.example",
    "role": "sender",
    "invited_by": "ada@shop.example",
    "created_at": "2026-11-20T10:00:00Z",
    "expires_at": "2026-11-27T10:00:00Z",
}
_ROLE: Final = "In a tenant: owner, manager, sender or viewer; of the box: admin or support."
_RoleOf = Annotated[Role, Meta(description=_ROLE)]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is to a tenant."""

    tenant_id: int
    role: Role


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who signs in to the console."""

    id: int
    email: str
    name: str
    box_role: Annotated[Role | None, Meta(description="Told to the box's askers alone.")]
    memberships: list[Member]
    has_password: bool
    has_second_factor: bool
    created_at: datetime | None
    disabled_at: datetime | None
    signed_in_at: datetime | None


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """Users, oldest first; `cursor` leads on, "" at the end."""

    items: list[UserRow]
    cursor: str


class NewRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user is to be."""

    role: _RoleOf


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions there were."""

    sessions: int


class InvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who was asked in and has not come yet."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: the box itself.")]
    email: str
    role: Role
    invited_by: str
    created_at: datetime | None
    expires_at: datetime | None


class InvitationList(msgspec.Struct, frozen=True, kw_only=True):
    """The open invitations, newest first; 500 at most."""

    items: list[InvitationRow]


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask in, and as what."""

    email: Annotated[str, Meta(min_length=1, max_length=254)]
    role: _RoleOf


@get(
    "/users",
    opt={RIGHT: Right.PEOPLE_READ, EXAMPLE: Example({"items": [_USER], "cursor": ""})},
    tags=["users"],
    summary="List the users",
)
async def list_users(
    rooms: Behind, asker: WhoAsks, tenant: Whose = "", cursor: Cursor = "", limit: Limit = 50
) -> UserPage:
    """A tenant's members, or everybody for the box's askers."""
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.people.users.list(scope, after=place_of(cursor), limit=limit + 1)
    items, last = cut(found, limit, lambda one: one.id)
    return UserPage(items=[_shown(one) for one in items], cursor=last)


@get(
    "/users/{user_id:int}",
    opt={RIGHT: Right.PEOPLE_READ, EXAMPLE: Example(_USER)},
    tags=["users"],
    summary="Show a user",
)
async def show_user(user_id: Id, rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> UserRow:
    """One of them."""
    scope = await view_of(rooms, asker, tenant)
    return _shown(await rooms.people.users.get(scope, user_id))


@patch(
    "/users/{user_id:int}/role",
    opt={
        RIGHT: Right.PEOPLE_MANAGE,
        EXAMPLE: Example(
            _USER | {"memberships": [{"tenant_id": 3, "role": "manager"}]}, {"role": "manager"}
        ),
    },
    tags=["users"],
    summary="Change what a user is",
)
async def change_role(
    user_id: Id, data: JSONBody[NewRole], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> UserRow:
    """In the tenant that asks or is named, or else of the box. The user's sessions end."""
    scope = await view_of(rooms, asker, tenant)
    changed = await rooms.people.users.set_role(
        scope, user_id, data.role, tenant_id=scope.tenant_id or BOX
    )
    return _shown(changed)


@delete(
    "/users/{user_id:int}",
    opt={RIGHT: Right.PEOPLE_MANAGE, EXAMPLE: Example(None)},
    tags=["users"],
    summary="Remove a user",
)
async def remove_user(user_id: Id, rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> None:
    """Out of a tenant; or, asked by the box without naming one, with the whole account."""
    await rooms.people.users.remove(await view_of(rooms, asker, tenant), user_id)


@post(
    "/users/{user_id:int}/disable",
    status_code=200,
    opt={
        RIGHT: Right.PEOPLE_MANAGE,
        EXAMPLE: Example(_USER | {"disabled_at": "2026-11-21T10:00:00Z"}),
    },
    tags=["users"],
    summary="Keep a user out",
)
async def disable_user(user_id: Id, rooms: Behind, asker: WhoAsks) -> UserRow:
    """For the box's askers: the user's sessions end, and none begins."""
    return _shown(await rooms.people.users.disable(asker.actor.scope, user_id))


@post(
    "/users/{user_id:int}/enable",
    status_code=200,
    opt={RIGHT: Right.PEOPLE_MANAGE, EXAMPLE: Example(_USER)},
    tags=["users"],
    summary="Let a disabled user in again",
)
async def enable_user(user_id: Id, rooms: Behind, asker: WhoAsks) -> UserRow:
    """For the box's askers."""
    return _shown(await rooms.people.users.enable(asker.actor.scope, user_id))


@post(
    "/users/{user_id:int}/end-sessions",
    status_code=200,
    opt={RIGHT: Right.PEOPLE_MANAGE, EXAMPLE: Example({"sessions": 2})},
    tags=["users"],
    summary="Sign a user out everywhere",
)
async def end_sessions(user_id: Id, rooms: Behind, asker: WhoAsks) -> Ended:
    """For the box's askers."""
    return Ended(sessions=await rooms.people.users.end_sessions(asker.actor.scope, user_id))


@post(
    "/users/{user_id:int}/drop-second-factor",
    status_code=200,
    opt={
        RIGHT: Right.PEOPLE_MANAGE,
        EXAMPLE: Example(_USER | {"has_second_factor": False}),
    },
    tags=["users"],
    summary="Drop a user's second factor",
)
async def drop_second_factor(user_id: Id, rooms: Behind, asker: WhoAsks) -> UserRow:
    """For the box's askers, when device and recovery codes are lost."""
    return _shown(await rooms.people.users.drop_second_factor(asker.actor.scope, user_id))


@get(
    "/invitations",
    opt={RIGHT: Right.PEOPLE_READ, EXAMPLE: Example({"items": [_INVITATION]})},
    tags=["users"],
    summary="List the open invitations",
)
async def list_invitations(rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> InvitationList:
    """Those that nobody has accepted, and that are not too old."""
    found = await rooms.people.invitations.list(await view_of(rooms, asker, tenant))
    return InvitationList(items=[_asked(one) for one in found])


@post(
    "/invitations",
    opt={
        RIGHT: Right.PEOPLE_MANAGE,
        EXAMPLE: Example(_INVITATION, {"email": "bob@shop.example", "role": "sender"}),
    },
    tags=["users"],
    summary="Invite somebody",
)
async def invite(
    data: JSONBody[NewInvitation], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> InvitationRow:
    """By a letter with a link that works once, for seven days; an open one to the address ends."""
    scope = await view_of(rooms, asker, tenant)
    made = await rooms.people.invitations.invite(
        scope, email=data.email, role=data.role, tenant_id=scope.tenant_id or BOX
    )
    return _asked(made)


@delete(
    "/invitations/{invitation_id:int}",
    opt={RIGHT: Right.PEOPLE_MANAGE, EXAMPLE: Example(None)},
    tags=["users"],
    summary="Withdraw an invitation",
)
async def withdraw(invitation_id: Id, rooms: Behind, asker: WhoAsks) -> None:
    """Its link is worth nothing from now on."""
    await rooms.people.invitations.withdraw(asker.actor.scope, invitation_id)


def _shown(user: User) -> UserRow:
    return UserRow(
        id=user.id,
        email=user.email,
        name=user.name,
        box_role=user.box_role,
        memberships=[Member(tenant_id=one.tenant_id, role=one.role) for one in user.memberships],
        has_password=user.has_password,
        has_second_factor=user.has_second_factor,
        created_at=moment(user.created_at),
        disabled_at=moment(user.disabled_at),
        signed_in_at=moment(user.signed_in_at),
    )


def _asked(one: Invitation) -> InvitationRow:
    return InvitationRow(
        id=one.id,
        tenant_id=one.tenant_id,
        email=one.email,
        role=one.role,
        invited_by=one.by,
        created_at=moment(one.created_at),
        expires_at=moment(one.expires_at),
    )


HANDLERS: Final[list[Any]] = [
    list_users,
    show_user,
    change_role,
    remove_user,
    disable_user,
    enable_user,
    end_sessions,
    drop_second_factor,
    list_invitations,
    invite,
    withdraw,
]
