"""Users: the members of a tenant, or the people of the box: what they are, how they sign in, who is asked in.

In a tenant's view removing somebody ends a membership; what concerns an account as a whole is for the whole
box. Links are shown by the answer to the form that makes them, and nowhere else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.right_words import ROLES, role_choices
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import ForbiddenError, UsageError
from appliance.core.scope import BOX
from appliance.rights import BOX_ROLES, TENANT_ROLES, Right, Role

if TYPE_CHECKING:
    from appliance.people import Invitation, User

PAGE: Final = 50
MOST_EMAIL: Final = 254
_Prefix = Annotated[str, QueryParameter(max_length=MOST_EMAIL, pattern=PLAIN)]


@get("/users", opt={RIGHT: Right.PEOPLE_READ})
async def users(
    rooms: Behind,
    visit: WhoVisits,
    q: _Prefix = "",
    show: FromQuery[str] = "",
    cursor: Cursor = "",
) -> Response[bytes]:
    """The list, and who is asked in."""
    return await _list(rooms, visit, q.strip(), cursor, is_staff=show == "staff")


async def _list(
    rooms: Behind,
    visit: Visit,
    q: str = "",
    cursor: str = "",
    *,
    is_staff: bool = False,
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    scope, people = visit.scope, rooms.people
    found, counts, invited = await asyncio.gather(
        people.users.list(
            scope, after=place_of(cursor), limit=PAGE + 1, prefix=q, staff_only=is_staff
        ),
        people.users.counts(scope),
        people.invitations.list(scope),
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    ids = {one.tenant_id for user in rows for one in user.memberships}
    names = await rooms.tenants.names(scope, ids | {one.tenant_id for one in invited})
    return await visit.page(
        "users.html",
        problem=problem,
        rows=[(user, _roles(user, names, is_box=visit.is_box)) for user in rows],
        counts=counts,
        invited=[(one, ROLES[one.role][0], names.get(one.tenant_id, "")) for one in invited],
        choices=_choices(visit),
        q=q,
        is_staff=is_staff,
        after=after,
        cursor=cursor,
        myself=_myself(visit),
    )


def _roles(user: User, names: dict[int, str], *, is_box: bool) -> list[str]:
    """What somebody is, to whom."""
    of_box = [f"{ROLES[user.box_role][0]} of the box"] if user.box_role else []
    return of_box + [
        f"{ROLES[one.role][0]}, {names.get(one.tenant_id, one.tenant_id)}"
        if is_box
        else ROLES[one.role][0]
        for one in user.memberships
    ]


def _choices(visit: Visit) -> list[tuple[str, str]]:
    return role_choices(reversed(BOX_ROLES if visit.is_box else TENANT_ROLES))


def _myself(visit: Visit) -> int:
    return visit.own.seen.person_id


def _owner(visit: Visit) -> int:
    """Into what somebody is asked, or of what a role is: the tenant of the view, or the box."""
    return BOX if visit.scope.tenant_id is None else visit.scope.tenant_id


# -- invitations -------------------------------------------------------------------


@post("/users/invite", opt={RIGHT: Right.PEOPLE_MANAGE})
async def invite(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """By a letter; or with a link that is in the answer and nowhere else."""
    form, room = visit.form, rooms.people.invitations
    try:
        email, role = form.needed("email", most=MOST_EMAIL), form.choice("role", Role)
        if form.one_of("how", ("letter", "link")) == "link":
            made, url = await room.link(
                visit.scope, email=email, role=role, tenant_id=_owner(visit)
            )
            return await _link(visit, made.email, url, made.expires_at, is_new=True)
        made = await room.invite(visit.scope, email=email, role=role, tenant_id=_owner(visit))
    except UsageError as error:
        return await _list(rooms, visit, problem=Problem.of(error, "invite"))
    return _on_its_way(visit, made)


def _on_its_way(visit: Visit, made: Invitation) -> Response[bytes]:
    words = f"It goes to {made.email}, and holds for seven days."
    return visit.to("/users", "A letter is on its way", words)


async def _link(
    visit: Visit, email: str, url: str, expires_at: int, *, is_new: bool
) -> Response[bytes]:
    return await visit.page(
        "user_link.html", email=email, url=url, expires_at=expires_at, is_new=is_new
    )


@post("/users/invitations/{invitation_id:int}/again", opt={RIGHT: Right.PEOPLE_MANAGE})
async def invite_again(invitation_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Another letter in the stead of the first, whose link works no more."""
    room = rooms.people.invitations
    asked = await room.get(visit.scope, invitation_id)
    made = await room.invite(
        visit.scope, email=asked.email, role=asked.role, tenant_id=asked.tenant_id
    )
    return _on_its_way(visit, made)


@post("/users/invitations/{invitation_id:int}/withdraw", opt={RIGHT: Right.PEOPLE_MANAGE})
async def withdraw(invitation_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its link is worth nothing from now on."""
    await rooms.people.invitations.withdraw(visit.scope, invitation_id)
    return visit.to("/users", "Withdrawn", "The link of the letter works no more.")


# -- one ---------------------------------------------------------------------------


@get("/users/{user_id:int}", opt={RIGHT: Right.PEOPLE_READ})
async def user(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Somebody."""
    return await _one(rooms, visit, user_id)


async def _one(
    rooms: Behind, visit: Visit, user_id: int, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    found = await rooms.people.users.get(visit.scope, user_id)
    names = await rooms.tenants.names(visit.scope, {one.tenant_id for one in found.memberships})
    mine = [one.role for one in found.memberships if one.tenant_id == visit.scope.tenant_id]
    role = found.box_role if visit.is_box else mine[0] if mine else None
    return await visit.page(
        "user.html",
        problem=problem,
        user=found,
        role=role or "",
        role_word=ROLES[role][0] if role else "",
        choices=_choices(visit),
        memberships=[
            (one.tenant_id, names.get(one.tenant_id, ""), ROLES[one.role][0])
            for one in found.memberships
        ],
        is_myself=user_id == _myself(visit),
    )


@post("/users/{user_id:int}/role", opt={RIGHT: Right.PEOPLE_MANAGE})
async def change_role(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """In the tenant of the view, or of the box."""
    await rooms.people.users.get(visit.scope, user_id)
    try:
        role = visit.form.choice("role", Role)
        changed = await rooms.people.users.set_role(
            visit.scope, user_id, role, tenant_id=_owner(visit)
        )
    except UsageError as error:
        return await _one(rooms, visit, user_id, Problem.of(error, "role"))
    words = f"{changed.email} is {ROLES[role][0].lower()} from now on."
    return visit.to(_path(user_id), "The role is changed", words)


@post("/users/{user_id:int}/remove", opt={RIGHT: Right.PEOPLE_MANAGE})
async def remove_user(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Out of the tenant; in the view of the whole box with the whole account."""
    found = await rooms.people.users.get(visit.scope, user_id)
    try:
        await rooms.people.users.remove(visit.scope, user_id)
    except UsageError as error:
        return await _one(rooms, visit, user_id, _told(error, "remove"))
    return visit.to("/users", "Removed", f"{found.email} comes in no more.")


@post("/users/{user_id:int}/disable", opt={RIGHT: Right.PEOPLE_MANAGE})
async def disable_user(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Sessions end, and none begins."""
    await rooms.people.users.get(visit.scope, user_id)
    try:
        found = await rooms.people.users.disable(visit.scope, user_id)
    except ForbiddenError:
        raise
    except UsageError as error:
        return await _one(rooms, visit, user_id, _told(error, "disable"))
    return visit.to(_path(user_id), "Disabled", f"{found.email} is signed out and stays out.")


def _told(error: UsageError, dialog: str) -> Problem:
    """A question without fields says at its top why it cannot be done."""
    return Problem(words=str(error), dialog=dialog)


@post("/users/{user_id:int}/enable", opt={RIGHT: Right.PEOPLE_MANAGE})
async def enable_user(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """May sign in again."""
    await rooms.people.users.get(visit.scope, user_id)
    found = await rooms.people.users.enable(visit.scope, user_id)
    return visit.to(_path(user_id), "Enabled", f"{found.email} may sign in again.")


@post("/users/{user_id:int}/end-sessions", opt={RIGHT: Right.PEOPLE_MANAGE})
async def end_sessions(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Signed out everywhere."""
    await rooms.people.users.get(visit.scope, user_id)
    count = await rooms.people.users.end_sessions(visit.scope, user_id)
    return visit.to(_path(user_id), "Signed out everywhere", f"{count} sessions have ended.")


@post("/users/{user_id:int}/drop-second-factor", opt={RIGHT: Right.PEOPLE_MANAGE})
async def drop_second_factor(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """For who lost device and recovery codes."""
    await rooms.people.users.get(visit.scope, user_id)
    await rooms.people.users.drop_second_factor(visit.scope, user_id)
    return visit.to(_path(user_id), "Second factor removed", "The password alone signs them in.")


@post("/users/{user_id:int}/password-link", opt={RIGHT: Right.PEOPLE_MANAGE})
async def password_link(user_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A link to a new password, to hand over."""
    found = await rooms.people.users.get(visit.scope, user_id)
    url = await rooms.people.password_links.link_for(visit.scope, user_id)
    return await _link(visit, found.email, url, 0, is_new=False)


def _path(user_id: int) -> str:
    return f"/users/{user_id}"


HANDLERS: Final[list[Any]] = [
    users,
    invite,
    invite_again,
    withdraw,
    user,
    change_role,
    remove_user,
    disable_user,
    enable_user,
    end_sessions,
    drop_second_factor,
    password_link,
]
