"""API keys: who has one, what it may, when it was last used; made (shown once) and revoked.

A key is shown by the answer to the form that makes it, and nowhere else: it is in no address and no cookie.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import Id, cut
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.domains import tenants_of
from admin_ui.console.right_words import ROLES, WORDS, grouped
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import UsageError
from appliance.core.scope import BOX
from appliance.keys import SOON, ApiKey, Wish, grantable
from appliance.rights import BOX_ROLES, GRANTS, TENANT_ROLES, Right, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = 50
SHOWN: Final = {"": None, "valid": True, "ended": False}
"""What the list can be narrowed to."""

_NOUNS: Final = {
    Right.MESSAGES_READ: "messages",
    Right.DOMAINS_READ: "domains",
    Right.SUPPRESSIONS_READ: "suppressions",
    Right.WEBHOOKS_READ: "webhooks",
    Right.CREDENTIALS_READ: "credentials",
    Right.JOBS_READ: "jobs",
    Right.TENANTS_READ: "tenants",
}
_FEW: Final = 2  # rights that the list names; more are one press away


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A key in the list."""

    key: ApiKey
    word: str
    kind: str
    may: str  # in short
    rights: Sequence[str]  # in full


@get("/keys", opt={RIGHT: Right.KEYS_READ})
async def keys(
    rooms: Behind, visit: WhoVisits, show: FromQuery[str] = "", cursor: Cursor = ""
) -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, show if show in SHOWN else "", cursor)


async def _list(
    rooms: Behind, visit: Visit, show: str = "", cursor: str = "", problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    scope, now = visit.scope, visit.stage.now()
    found, counts, tenants = await asyncio.gather(
        rooms.keys.list(scope, after=place_of(cursor), limit=PAGE + 1, valid=SHOWN[show]),
        rooms.keys.counts(scope),
        tenants_of(rooms, visit),
    )
    page, after = cut(found, PAGE, lambda one: one.id)
    owner = BOX if scope.tenant_id is None else scope.tenant_id
    # Of the box a key can be made for tenants too: what a tenant's may have beside.
    can_have = grantable(owner) | (grantable(BOX + 1) if visit.is_box else frozenset())
    return await visit.page(
        "keys.html",
        problem=problem,
        rows=[_row(one, now) for one in page],
        owners=await rooms.tenants.names(scope, {one.tenant_id for one in page}),
        counts=counts,
        tenants=tenants,
        groups=grouped(can_have & visit.actor.rights),
        roles=_roles(visit),
        show=show,
        after=after,
        cursor=cursor,
        box=BOX,
    )


def _row(one: ApiKey, now: int) -> Row:
    word, kind = _state(one, now)
    words = [WORDS[right] for right in WORDS if right in one.rights]
    return Row(key=one, word=word, kind=kind, may=_in_short(one, words), rights=words)


def _state(one: ApiKey, now: int) -> tuple[str, str]:
    if one.revoked_at:
        return "Revoked", "off"
    if not one.is_valid(now):
        return "Expired", "off"
    if one.expires_at and one.expires_at < now + SOON:
        return "Expires soon", "look"
    return ("In use", "good") if one.last_used_at else ("Not used yet", "way")


def _in_short(one: ApiKey, words: Sequence[str]) -> str:
    """As a role, if it has just what a key of that role has."""
    can_have = grantable(one.tenant_id)
    for role in BOX_ROLES if one.tenant_id == BOX else TENANT_ROLES:
        if one.rights == GRANTS[role] & can_have:
            return f"As {ROLES[role][0].lower()}"
    more = len(words) - _FEW
    return ", ".join(words[:_FEW]) + (f" and {more} more" if more > 0 else "")


def _roles(visit: Visit) -> list[tuple[str, str]]:
    """Roles whose rights somebody can hand on."""
    every = (*BOX_ROLES, *TENANT_ROLES) if visit.is_box else TENANT_ROLES
    mine = visit.actor.rights
    able = [role for role in every if GRANTS[role] & grantable(_owner_of(role)) <= mine]
    return [(role.value, f"As {ROLES[role][0].lower()}: {ROLES[role][1]}") for role in able]


def _owner_of(role: Role) -> int:
    return BOX if role in BOX_ROLES else BOX + 1


@post("/keys", opt={RIGHT: Right.KEYS_MANAGE})
async def make_key(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The key is in the answer and nowhere else."""
    form, scope = visit.form, visit.scope
    try:
        owner = await _owner(rooms, visit)
        wish = Wish(
            name=form.needed("name", most=200),
            rights=_wanted(visit, owner),
            expires_at=form.moment("expires_at", visit.stage.zone),
            sandboxed=form.ticked("sandboxed") or visit.actor.is_sandboxed,
        )
        issued = await rooms.keys.create(scope, wish, held=visit.actor.rights, tenant_id=owner)
    except UsageError as error:
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return await visit.page(
        "key_made.html",
        key=issued.key,
        token=issued.token,
        sends=Right.MESSAGES_SEND in issued.key.rights,
        noun=_noun(issued.key),
        url=rooms.people.options.public_url,
    )


def _noun(key: ApiKey) -> str:
    """What an example can ask for with this key."""
    return next((noun for right, noun in _NOUNS.items() if right in key.rights), "sending-stop")


async def _owner(rooms: Behind, visit: Visit) -> int:
    """Whose it is to be; 0 = the box's."""
    if visit.scope.tenant_id is not None:
        return visit.scope.tenant_id
    wanted = visit.form.whole("tenant")
    return (await rooms.tenants.by_id(visit.scope, wanted)).id if wanted else BOX


def _wanted(visit: Visit, owner: int) -> frozenset[Right]:
    """A role's rights, as far as a key can have them, or those that are ticked."""
    if visit.form.said("role"):
        return GRANTS[visit.form.choice("role", Role)] & grantable(owner)
    ticked = visit.form.many("rights")
    unknown = sorted(set(ticked).difference(Right))
    if unknown:
        raise UsageError(f"{unknown[0][:60]!r} is no right", field="rights")
    return frozenset(map(Right, ticked))


@post("/keys/{key_id:int}/revoke", opt={RIGHT: Right.KEYS_MANAGE})
async def revoke_key(key_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Refused from now on, within a second."""
    revoked = await rooms.keys.revoke(visit.scope, key_id)
    return visit.to("/keys", "Revoked", f"The key {revoked.name} opens nothing any more.")


HANDLERS: Final[list[Any]] = [keys, make_key, revoke_key]
