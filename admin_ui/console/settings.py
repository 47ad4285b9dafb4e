"""Settings: of a tenant who it is and what it may use; of the box what its configuration file says.

The box's are read here and changed in the file alone, so that there is no second truth. Roles and their rights
are shown as the table that the box itself asks (appliance/rights).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery

from admin_ui.api.guard import RIGHT
from admin_ui.console.right_words import ROLES, grouped
from admin_ui.console.tenants import POOLS
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import NotFoundError, UsageError
from appliance.rights import BOX_ROLES, GRANTS, TENANT_ROLES, Right

if TYPE_CHECKING:
    from appliance.core.settings_reference import ToldTable
    from appliance.tenancy import TenantRecord

MOST_LINES: Final = 2000  # characters; how many of them may be kept says the room


@get("/settings", opt={RIGHT: Right.TENANTS_READ})
async def settings(rooms: Behind, visit: WhoVisits, show: FromQuery[str] = "") -> Response[bytes]:
    """The tenant's, or the box's."""
    if not visit.is_box:
        return await _tenant(rooms, visit)
    visit.actor.require(Right.BOX_READ)
    known = rooms.files.configuration
    only_changed = show == "changed"
    return await visit.page(
        "settings_box.html",
        path=known.path,
        tables=_changed(known.tables) if only_changed else known.tables,
        whole=sum(len(one.options) for one in known.tables),
        changed=sum(option.is_changed for one in known.tables for option in one.options),
        only_changed=only_changed,
    )


def _changed(tables: tuple[ToldTable, ...]) -> tuple[ToldTable, ...]:
    """Those in which something is another than by default."""
    return tuple(one for one in tables if any(option.is_changed for option in one.options))


async def _tenant(rooms: Behind, visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    one = await _own(rooms, visit)
    return await visit.page(
        "settings_tenant.html",
        problem=problem,
        one=one,
        pools=[(name, words, getattr(one, name)) for name, words in POOLS.items()],
    )


async def _own(rooms: Behind, visit: Visit) -> TenantRecord:
    if visit.scope.tenant_id is None:
        raise NotFoundError("this is of a tenant: open its view first")
    return await rooms.tenants.by_id(visit.scope, visit.scope.tenant_id)


@post("/settings/organisation", opt={RIGHT: Right.DOMAINS_MANAGE})
async def save_organisation(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Who the tenant is by post."""
    form, one = visit.form, await _own(rooms, visit)
    try:
        await rooms.tenants.set_profile(
            visit.scope,
            one.id,
            organisation=form.needed("organisation"),
            country=form.needed("country"),
            postal_address=form.lines("postal_address", most=MOST_LINES),
        )
    except UsageError as error:
        return await _tenant(rooms, visit, Problem.of(error, "organisation-dialog"))
    return visit.to("/settings", "Saved", "Receivers are told this from now on.")


@post("/settings/links", opt={RIGHT: Right.DOMAINS_MANAGE})
async def save_links(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Where the tenant's public pages link to."""
    form, one = visit.form, await _own(rooms, visit)
    try:
        await rooms.tenants.set_links(
            visit.scope,
            one.id,
            privacy_url=form.text("privacy_url"),
            terms_url=form.text("terms_url"),
        )
    except UsageError as error:
        return await _tenant(rooms, visit, Problem.of(error, "links-dialog"))
    return visit.to("/settings", "Saved", "Your public pages link there from now on.")


@get("/settings/rights", opt={RIGHT: Right.TENANTS_READ})
async def rights(visit: WhoVisits) -> Response[bytes]:
    """Who may do what: right x role. A tenant is shown its own roles."""
    roles = (*BOX_ROLES, *TENANT_ROLES) if visit.is_box else TENANT_ROLES
    seen = frozenset[Right]().union(*(GRANTS[role] for role in roles))
    return await visit.page(
        "settings_rights.html",
        roles=[(role, *ROLES[role]) for role in roles],
        groups=grouped(seen),
        grants=GRANTS,
    )


HANDLERS: Final[list[Any]] = [settings, save_organisation, save_links, rights]
