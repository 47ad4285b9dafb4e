"""Credentials: the SMTP logins of tenants; one with its settings to paste, and its first message as it comes.

A password is on the page that answers the form which makes it, and nowhere else: that page is kept by nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut, in_field
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console import trial_mail
from admin_ui.console.domains import owner_id, tenants_of
from admin_ui.console.first_message import story_of
from admin_ui.console.snippets import snippets
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.core.errors import ConflictError, ForbiddenError, NotFoundError, UsageError
from appliance.credentials import Door, IssuedLogin, Policy
from appliance.operations import Target
from appliance.rights import Right
from mta.directory import FromPolicy, Gate
from mta.status import TrafficClass

if TYPE_CHECKING:
    from appliance.credentials import CredentialRecord
    from appliance.domains import DomainRecord
    from mta.directory import Pause

PAGE: Final = 100
_NAME: Final = 40
_LIST: Final = 4000  # characters of a list
_MANY_DOMAINS: Final = 50
_OVERLAP: Final = 24 * 365
_MADE: Final = Rate(1, 30)
_CLASSES: Final = (
    ("", "As each message looks"),
    (TrafficClass.TRANSACTIONAL, "Transactional"),
    (TrafficClass.BULK, "Bulk"),
)
_GATES: Final = (
    (Gate.OFF, "Takes all mail"),
    (Gate.WARN, "Warns of bulk mail that receivers refuse"),
    (Gate.REFUSE, "Refuses bulk mail that receivers refuse"),
)
_Tab = Annotated[str, QueryParameter(max_length=20, pattern=PLAIN)]


@get("/credentials", opt={RIGHT: Right.CREDENTIALS_READ})
async def credentials(
    *, rooms: Behind, visit: WhoVisits, cursor: Cursor = "", revoked: FromQuery[bool] = False
) -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, cursor, revoked=revoked)


async def _list(
    rooms: Behind,
    visit: Visit,
    cursor: str = "",
    *,
    revoked: bool = False,
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    scope = visit.scope
    found, tenants = await asyncio.gather(
        rooms.credentials.page(scope, after=place_of(cursor), limit=PAGE + 1, revoked_too=revoked),
        tenants_of(rooms, visit),
    )
    rows, after = cut(found, PAGE, lambda one: one.id)
    tries, owners = await asyncio.gather(
        rooms.tries.of(scope, [one.id for one in rows]),
        rooms.tenants.names(scope, {one.tenant_id for one in rows}),
    )
    return await visit.page(
        "credentials.html",
        problem=problem,
        rows=rows,
        tries=tries,
        owners=owners,
        tenants=tenants,
        after=after,
        cursor=cursor,
        revoked=revoked,
        week_ago=visit.stage.now() - 7 * clock.DAY,
    )


@post("/credentials", opt={RIGHT: Right.CREDENTIALS_MANAGE, RATE: _MADE})
async def add_credential(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Make one; the answer is its page, with the password."""
    try:
        issued = await make(rooms, visit)
    except (UsageError, ConflictError) as error:
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return await _page(rooms, visit, issued.credential, issued=issued)


async def make(rooms: Behind, visit: Visit) -> IssuedLogin:
    """The credential of a form. Raises UsageError at its field."""
    owner = await rooms.tenants.by_id(visit.scope, await owner_id(rooms, visit))
    try:
        with in_field("name"):
            return await rooms.credentials.create(
                visit.scope, owner, name=visit.form.needed("name", most=_NAME)
            )
    except ConflictError as error:
        raise UsageError(str(error), field="name") from error


@get("/credentials/{credential_id:int}", opt={RIGHT: Right.CREDENTIALS_READ})
async def credential(
    credential_id: Id, rooms: Behind, visit: WhoVisits, tab: _Tab = ""
) -> Response[bytes]:
    """One, without its password."""
    return await _page(rooms, visit, await _find(rooms, visit, credential_id), tab=tab)


async def _find(rooms: Behind, visit: Visit, credential_id: int) -> CredentialRecord:
    found = await rooms.credentials.get(visit.scope, credential_id)
    if found.door is not Door.SMTP:
        raise NotFoundError(f"no SMTP credential has the id {credential_id}")
    return found


async def _page(
    rooms: Behind,
    visit: Visit,
    found: CredentialRecord,
    *,
    issued: IssuedLogin | None = None,
    tab: str = "",
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    scope = visit.scope.within(found.tenant_id)
    story, domains, pools, owner, pauses = await asyncio.gather(
        story_of(rooms, scope, found),
        rooms.domains.page(scope, limit=_MANY_DOMAINS),
        rooms.pools.list(scope),
        rooms.tenants.by_id(visit.scope, found.tenant_id),
        _pauses_of(rooms, visit, found),
    )
    answer = await visit.page(
        "credential.html",
        problem=problem,
        credential=found,
        story=story,
        verified=[one.name for one in domains if one.verified],
        pools=[("", "The tenant's"), *((one.name, one.name) for one in pools)],
        owner=owner,
        pauses=pauses,
        classes=_CLASSES,
        gates=_GATES,
        **connection(rooms, found, domains, issued, tab),
    )
    if issued is not None:
        answer.headers["Cache-Control"] = "no-store"
    return answer


async def _pauses_of(rooms: Behind, visit: Visit, found: CredentialRecord) -> list[Pause]:
    """That let its mail wait, all of it or some."""
    if not visit.may(Right.QUEUE_READ):
        return []
    every = await rooms.operations.pauses(visit.scope)
    return [one for one in every if one.credential_id == found.id]


def connection(
    rooms: Behind,
    found: CredentialRecord,
    domains: tuple[DomainRecord, ...],
    issued: IssuedLogin | None,
    tab: str = "",
) -> dict[str, Any]:
    """What a page needs to show how to connect."""
    doors = rooms.files.doors
    user = issued.username if issued else found.logins[0].username if found.logins else ""
    sender = next((f"you@{one.name}" for one in domains if one.verified), "")
    known = snippets(doors, user, issued.password if issued else "", sender)
    return {
        "doors": doors,
        "user": user,
        "issued": issued,
        "snippets": known,
        "tab": tab if tab in {one.id for one in known} else known[0].id,
    }


@post("/credentials/{credential_id:int}/policy", opt={RIGHT: Right.CREDENTIALS_MANAGE})
async def change_policy(credential_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """What it may do."""
    found = await _find(rooms, visit, credential_id)
    try:
        policy = await _policy(rooms, visit, found)
        await rooms.credentials.set_policy(visit.scope, found.id, policy)
    except UsageError as error:
        error.field = error.field or _field_of(str(error))
        return await _page(rooms, visit, found, problem=Problem.of(error, "policy"))
    return visit.to(f"/credentials/{found.id}", "Saved", "From the next message on.")


async def _policy(rooms: Behind, visit: Visit, found: CredentialRecord) -> Policy:
    """What the form says; what it does not name stays as it is."""
    form, standing = visit.form, found.policy
    pool = form.text("pool", most=63)
    if pool and pool != standing.pool:
        with in_field("pool"):
            await rooms.pools.usable(visit.scope, pool, found.tenant_id)
    wanted = FromPolicy.ANY if form.ticked("any_from") else FromPolicy.VERIFIED
    if wanted is not standing.from_policy and not visit.is_box:
        raise ForbiddenError("only the box's admin lets a credential send with any From")
    kind = form.one_of("traffic_class", [value for value, _ in _CLASSES])
    return replace(
        standing,
        from_policy=wanted,
        allowed_from=frozenset(form.words("allowed_from", most=_LIST)),
        networks=form.words("networks", most=_LIST),
        tags=form.words("tags", most=_LIST),
        pool=pool,
        recipients_per_hour=form.whole("recipients_per_hour"),
        recipients_per_day=form.whole("recipients_per_day"),
        traffic_class=TrafficClass(kind) if kind else None,
        compliance=form.choice("compliance", Gate),
        refuse_suppressed=form.ticked("refuse_suppressed"),
        hide_client=form.ticked("hide_client"),
        surge_hold=form.ticked("surge_hold"),
        sandbox=form.ticked("sandbox"),
    )


def _field_of(words: str) -> str:
    """The rules of credentials say in words which list is wrong."""
    if "network" in words:
        return "networks"
    return "tags" if "tag" in words else "allowed_from"


@post("/credentials/{credential_id:int}/rotate", opt={RIGHT: Right.CREDENTIALS_MANAGE, RATE: _MADE})
async def rotate_credential(credential_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new login; the answer is the page, with the password."""
    found = await _find(rooms, visit, credential_id)
    try:
        hours = visit.form.whole("hours", most=_OVERLAP)
    except UsageError as error:
        return await _page(rooms, visit, found, problem=Problem.of(error, "rotate"))
    owner = await rooms.tenants.by_id(visit.scope, found.tenant_id)
    issued = await rooms.credentials.rotate(
        visit.scope, owner, found.id, overlap=hours * clock.HOUR
    )
    return await _page(rooms, visit, issued.credential, issued=issued)


@post("/credentials/{credential_id:int}/pause", opt={RIGHT: Right.QUEUE_OPERATE})
async def pause_credential(credential_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its mail waits until somebody resumes it."""
    found = await _find(rooms, visit, credential_id)
    target = Target(tenant_id=found.tenant_id, credential_id=found.id)
    try:
        await rooms.operations.pause(
            visit.scope,
            target,
            reason=visit.form.needed("reason", most=500),
            expires_at=visit.form.moment("until", visit.stage.zone),
        )
    except (UsageError, ConflictError) as error:
        return await _page(rooms, visit, found, problem=Problem.of(error, "pause"))
    return visit.to(f"/credentials/{found.id}", "Paused", "Its mail waits until it is resumed.")


@post("/credentials/{credential_id:int}/revoke", opt={RIGHT: Right.CREDENTIALS_MANAGE})
async def revoke_credential(credential_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Refuse it from now on."""
    found = await _find(rooms, visit, credential_id)
    await rooms.credentials.revoke(visit.scope, found.id)
    return visit.to("/credentials", "Revoked", f"{found.name} is refused within a second.")


@post("/credentials/{credential_id:int}/test", opt={RIGHT: Right.MESSAGES_SEND, RATE: _MADE})
async def send_test(credential_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A message from the tenant's domain to who asks for it."""
    found = await _find(rooms, visit, credential_id)
    scope = visit.scope.within(found.tenant_id)
    domains = await rooms.domains.page(scope, limit=_MANY_DOMAINS)
    verified = sorted((one for one in domains if one.verified), key=lambda one: not one.is_default)
    if not verified:
        raise UsageError("no domain is verified yet: add one, and publish its records")
    return await trial_mail.send(rooms, visit, verified[0], f"/credentials/{found.id}")


HANDLERS: Final[list[Any]] = [
    credentials,
    add_credential,
    credential,
    change_policy,
    rotate_credential,
    pause_credential,
    revoke_credential,
    send_test,
]
