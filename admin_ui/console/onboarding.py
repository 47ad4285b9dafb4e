"""Onboarding: from nothing to the first delivered message: organisation, domain, credential, message.

Where somebody stands is read from what there is, so each step can be left and come back to, and what was done
elsewhere counts. It is over with the first delivered message, whoever sent it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import QueryParameter

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import PLAIN
from admin_ui.api.own import session_cookie
from admin_ui.api.rates import Rate
from admin_ui.console import credentials, domains
from admin_ui.console.first_message import story_of
from admin_ui.console.records import letter_of, shown_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import ConflictError, UsageError
from appliance.rights import Right

if TYPE_CHECKING:
    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.credentials import CredentialRecord, IssuedLogin
    from appliance.domains import DomainRecord
    from appliance.tenancy import TenantRecord

STEPS: Final = {
    "organisation": "Your organisation",
    "domain": "A domain",
    "credential": "A credential",
    "message": "The first message",
}
_MANY: Final = 50
_MAKES: Final = Rate(0.5, 20)
_Step = Annotated[str, QueryParameter(max_length=20, pattern=PLAIN)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Onboarding:
    """How far a tenant has come."""

    tenant: TenantRecord
    domain: DomainRecord | None  # the one that is being set up
    domains: tuple[DomainRecord, ...]
    credential: CredentialRecord | None  # the newest valid one
    is_over: bool

    @property
    def done(self) -> frozenset[str]:
        """Steps of which nothing is left."""
        facts = {
            "organisation": self.tenant.has_profile,
            "domain": self.domain is not None and self.domain.is_right and self.domain.verified,
            "credential": self.credential is not None,
            "message": self.is_over,
        }
        return frozenset(step for step, is_done in facts.items() if is_done)

    @property
    def step(self) -> str:
        """Where to go on."""
        return next((step for step in STEPS if step not in self.done), "message")

    @property
    def words(self) -> str:
        """What is next, for a list of what needs doing."""
        return {
            "organisation": "Say who you are: receivers of bulk mail must be told.",
            "domain": "Add the domain that you send from, and publish its records.",
            "credential": "Make a credential for the application that sends.",
            "message": "Send your first message: the page shows it arrive.",
        }[self.step]


async def onboarding_of(rooms: Rooms, scope: Scope) -> Onboarding | None:
    """How far the tenant of a scope has come; None for the whole box, which is no tenant."""
    if scope.tenant_id is None:
        return None
    tenant, found, logins, is_over = await asyncio.gather(
        rooms.tenants.by_id(scope, scope.tenant_id),
        rooms.domains.page(scope, limit=_MANY),
        rooms.credentials.page(scope, limit=_MANY),
        rooms.tries.has_delivered(scope),
    )
    best = sorted(found, key=lambda one: (not one.is_right, not one.verified, one.id))
    return Onboarding(
        tenant=tenant,
        domain=best[0] if best else None,
        domains=found,
        credential=logins[-1] if logins else None,
        is_over=is_over,
    )


@get("/onboarding", opt={RIGHT: Right.DOMAINS_MANAGE})
async def onboarding(rooms: Behind, visit: WhoVisits, step: _Step = "") -> Response[bytes]:
    """Where somebody stands, or a step that is come back to."""
    return await _page(rooms, visit, step)


async def _page(
    rooms: Behind,
    visit: Visit,
    step: str = "",
    *,
    issued: IssuedLogin | None = None,
    problem: Problem = NO_PROBLEM,
) -> Response[bytes]:
    known = await onboarding_of(rooms, visit.scope)
    if known is None:
        tenants = await rooms.tenants.page(visit.scope, limit=1)
        return await visit.page("onboarding_box.html", problem=problem, has_tenants=bool(tenants))
    now = step if step in STEPS else known.step
    if now == "message" and known.credential is None:
        now = "credential"  # comes first
    answer = await visit.page(
        "onboarding.html",
        problem=problem,
        known=known,
        step=now,
        steps=_steps(known, now),
        **await _context(rooms, visit, known, now, issued),
    )
    if issued is not None:
        answer.headers["Cache-Control"] = "no-store"
    return answer


def _steps(known: Onboarding, now: str) -> list[tuple[str, str, str]]:
    return [
        (
            words,
            f"/onboarding?step={step}",
            "now" if step == now else "done" if step in known.done else "later",
        )
        for step, words in STEPS.items()
    ]


async def _context(
    rooms: Behind, visit: Visit, known: Onboarding, step: str, issued: IssuedLogin | None
) -> dict[str, Any]:
    """What the step shows."""
    context: dict[str, Any] = {"rows": (), "every": 0, "letter": "", "story": None}
    if step == "domain" and known.domain is not None:
        rows = shown_of(rooms.domains, known.domain)
        every = 0 if known.domain.is_right else rooms.dns.watch(known.domain.id)
        return context | {
            "rows": rows,
            "every": every,
            "letter": letter_of(rows, known.domain.name),
        }
    if step in ("credential", "message") and known.credential is not None:
        found = issued.credential if issued else known.credential
        told = credentials.connection(rooms, found, known.domains, issued)
        return context | told | {"story": await story_of(rooms, visit.scope, found)}
    return context


@post("/onboarding/tenant", opt={RIGHT: Right.TENANTS_MANAGE, RATE: _MAKES})
async def make_tenant(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A box's first tenant, and into its view."""
    try:
        name = visit.form.needed("name", most=63)
        made = await rooms.tenants.create(visit.scope, name=name)
    except (UsageError, ConflictError) as error:
        return await _page(rooms, visit, problem=_at(error, "name"))
    client = visit.own.client
    opened = await rooms.people.sessions.enter(visit.own.token, made.id, client.address)
    answer = visit.to("/onboarding", "Tenant made", f"You are in the view of {made.name} now.")
    answer.cookies.append(session_cookie(rooms, opened))
    return answer


@post("/onboarding/organisation", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _MAKES})
async def save_organisation(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Who it is by post."""
    form = visit.form
    try:
        await rooms.tenants.set_profile(
            visit.scope,
            _tenant_of(visit),
            organisation=form.needed("organisation"),
            country=form.needed("country"),
            postal_address=form.lines("postal_address", most=2000),
        )
    except UsageError as error:
        return await _page(rooms, visit, "organisation", problem=Problem.of(error))
    return (
        visit.to(visit.back("/onboarding"), "Saved")
        if form.ticked("stay")
        else visit.to("/onboarding")
    )


@post("/onboarding/domain", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _MAKES})
async def add_domain(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The first domain."""
    try:
        await domains.claim(rooms, visit)
    except (UsageError, ConflictError) as error:
        return await _page(rooms, visit, "domain", problem=Problem.of(error))
    return visit.to("/onboarding?step=domain")


@post("/onboarding/credential", opt={RIGHT: Right.CREDENTIALS_MANAGE, RATE: _MAKES})
async def add_credential(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The first credential; the answer has its password."""
    try:
        issued = await credentials.make(rooms, visit)
    except (UsageError, ConflictError) as error:
        return await _page(rooms, visit, "credential", problem=Problem.of(error))
    return await _page(rooms, visit, "message", issued=issued)


def _tenant_of(visit: Visit) -> int:
    if visit.scope.tenant_id is None:
        raise UsageError("enter the view of a tenant first")
    return visit.scope.tenant_id


def _at(error: UsageError | ConflictError, field: str) -> Problem:
    return Problem(words=str(error), field=field)


HANDLERS: Final[list[Any]] = [
    onboarding,
    make_tenant,
    save_organisation,
    add_domain,
    add_credential,
]
