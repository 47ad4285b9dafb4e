"""Shell: what every page can do: change the theme, the view (a tenant, or the whole box), sign out."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post

from admin_ui.api.own import cookie, session_cookie
from admin_ui.console.guard import SIGNED_IN
from admin_ui.console.visit import THEME, THEMES, WhoVisits, safe_path
from admin_ui.rooms import Behind
from appliance.core.scope import Scope
from appliance.tenancy import TenantRecord

_OPT: Final = {SIGNED_IN: True}
_YEAR: Final = 365 * 86_400
_MOST_VIEWS: Final = 200


@post("/theme", opt=_OPT)
async def change_theme(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Dark or light, for this browser."""
    theme = visit.form.one_of("theme", THEMES)
    answer = visit.to(safe_path(visit.form.said("back"), default="/"))
    answer.cookies.append(cookie(rooms, THEME, theme, max_age=_YEAR))
    return answer


@get("/views", opt=_OPT)
async def views(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Whose rows somebody may see."""
    account = await rooms.people.account.user(visit.own.seen)
    tenants = await _tenants(visit, rooms, account)
    return await visit.page(
        "views.html", tenants=tenants[:_MOST_VIEWS], more=len(tenants) > _MOST_VIEWS, user=account
    )


async def _tenants(visit: WhoVisits, rooms: Behind, account: Any) -> tuple[TenantRecord, ...]:
    """All, for who is of the box; else those that one is a member of."""
    every = await rooms.tenants.list(Scope.system(by=visit.scope.by))
    mine = {one.tenant_id for one in account.memberships}
    return tuple(one for one in every if account.box_role or one.id in mine)


@post("/view", opt=_OPT)
async def change_view(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """See a tenant's rows, or the whole box's again; the room notes visits in the tenant's audit log."""
    tenant_id = visit.form.whole("tenant")
    opened = await rooms.people.sessions.enter(visit.own.token, tenant_id, visit.own.client.address)
    answer = visit.to("/")
    answer.cookies.append(session_cookie(rooms, opened))
    return answer


@post("/sign-out", opt=_OPT)
async def sign_out(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """End the session."""
    await rooms.people.sessions.sign_out(visit.own.token)
    answer = visit.to("/sign-in")
    answer.cookies.append(session_cookie(rooms, None))
    return answer


HANDLERS: Final[list[Any]] = [change_theme, views, change_view, sign_out]
