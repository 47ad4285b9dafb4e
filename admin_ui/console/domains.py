"""Domains: who needs work first; a domain with its records, which are looked at again while its page is open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Response, get, post
from litestar.params import QueryParameter

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import PLAIN, Id, cut
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console import trial_mail
from admin_ui.console.form import Form
from admin_ui.console.records import letter_of, shown_of, zone_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core import clock
from appliance.core.errors import ConflictError, UsageError
from appliance.core.scope import BOX
from appliance.domains import CheckState
from appliance.rights import Right
from appliance.statistics import Counts, Dimension, Of, Period
from mta.message import ReturnPathMode

if TYPE_CHECKING:
    from admin_ui.console.records import Shown
    from appliance.domains import DomainRecord
    from appliance.tenancy import TenantRecord

PAGE: Final = 100
MOST_TENANTS: Final = 500  # that a choice offers
_CHECKS: Final = Rate(0.5, 20)
_MONTH: Final = 30 * clock.DAY
_MODES: Final = (
    ("", "As the box has it"),
    (ReturnPathMode.RECIPIENT, "One a recipient"),
    (ReturnPathMode.MESSAGE, "One a message"),
)
_Prefix = Annotated[str, QueryParameter(max_length=253, pattern=PLAIN)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A domain in the list."""

    domain: DomainRecord
    word: str
    kind: str
    wrong: int  # records that are not right
    whole: int


@get("/domains", opt={RIGHT: Right.DOMAINS_READ})
async def domains(
    rooms: Behind, visit: WhoVisits, q: _Prefix = "", cursor: Cursor = ""
) -> Response[bytes]:
    """The list."""
    return await _list(rooms, visit, q, cursor)


async def _list(
    rooms: Behind, visit: Visit, q: str = "", cursor: str = "", problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    scope = visit.scope
    found, counts, tenants = await asyncio.gather(
        rooms.domains.page(scope, after=place_of(cursor), limit=PAGE + 1, prefix=q),
        rooms.domains.counts(scope),
        tenants_of(rooms, visit),
    )
    page, after = cut(found, PAGE, lambda one: one.id)
    rows = sorted((_row(one) for one in page), key=lambda row: (_ORDER[row.kind], row.domain.name))
    owners = await rooms.tenants.names(scope, {one.tenant_id for one in page})
    return await visit.page(
        "domains.html",
        problem=problem,
        rows=rows,
        counts=counts,
        owners=owners,
        tenants=tenants,
        after=after,
        cursor=cursor,
        q=q.strip(),
        wrong=sum(row.kind in ("bad", "look") for row in rows),
        box=BOX,
    )


_ORDER: Final = {"bad": 0, "look": 1, "way": 2, "good": 3}


def _row(one: DomainRecord) -> Row:
    checks = one.report.checks if one.report else ()
    wrong = sum(check.state is not CheckState.OK for check in checks)
    word, kind = state_of(one, wrong)
    return Row(domain=one, word=word, kind=kind, wrong=wrong, whole=len(checks))


def state_of(one: DomainRecord, wrong: int) -> tuple[str, str]:
    """In words, and the kind of its badge."""
    records = f"{wrong} record{'s' * (wrong != 1)} need{'s' * (wrong == 1)} work"
    if one.report is None:
        return ("Not looked at yet", "way")
    if not one.verified and one.tenant_id != BOX:
        return (f"Not verified, {records}" if wrong else "Not verified", "bad")
    return (records, "look") if wrong else ("Right", "good")


async def tenants_of(rooms: Behind, visit: Visit) -> tuple[TenantRecord, ...]:
    """Whose something new can be; of a tenant it is its own."""
    return await rooms.tenants.page(visit.scope, limit=MOST_TENANTS) if visit.is_box else ()


async def owner_id(rooms: Behind, visit: Visit) -> int:
    """Whose something new is. Raises UsageError at the field `tenant`."""
    if visit.scope.tenant_id is not None:
        return visit.scope.tenant_id
    wanted = visit.form.whole("tenant")
    if not wanted:
        raise UsageError("say whose it is to be", field="tenant")
    return (await rooms.tenants.by_id(visit.scope, wanted)).id


@post("/domains", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS})
async def add_domain(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Claim one."""
    try:
        made = await claim(rooms, visit)
    except (UsageError, ConflictError) as error:
        return await _list(rooms, visit, problem=Problem.of(error, "add"))
    return visit.to(f"/domains/{made.id}", "Domain added", "Publish its records: they stand below.")


async def claim(rooms: Behind, visit: Visit) -> DomainRecord:
    """The domain of a form. Raises UsageError or ConflictError at its field."""
    owner = await owner_id(rooms, visit)
    try:
        return await rooms.domains.create(
            visit.scope, tenant_id=owner, name=visit.form.needed("name", most=253)
        )
    except UsageError as error:
        error.field = error.field or "name"
        raise
    except ConflictError as error:
        raise UsageError(str(error), field="name") from error


@get("/domains/{domain_id:int}", opt={RIGHT: Right.DOMAINS_READ})
async def domain(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One, with its records."""
    return await _page(rooms, visit, await rooms.domains.by_id(visit.scope, domain_id))


async def _page(
    rooms: Behind, visit: Visit, found: DomainRecord, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    rows = shown_of(rooms.domains, found)
    counts, owners = await asyncio.gather(
        mail_of(rooms, visit, found), rooms.tenants.names(visit.scope, {found.tenant_id})
    )
    every = 0 if found.is_right else rooms.dns.watch(found.id)
    return await visit.page(
        "domain.html",
        problem=problem,
        domain=found,
        to_fix=[row for row in rows if not row.is_right],
        right=[row for row in rows if row.is_right],
        steps=_steps(found, rows, counts),
        counts=counts,
        owner=owners.get(found.tenant_id, "The box"),
        every=every,
        letter=letter_of(rows, found.name),
        modes=_MODES,
        is_boxs=found.tenant_id == BOX,
        no_form=Form(),  # a private key is never sent back
    )


async def mail_of(rooms: Behind, visit: Visit, found: DomainRecord) -> Counts:
    """What it has sent in a month."""
    now = visit.stage.now()
    of = Of(dimension=Dimension.DOMAIN, value=found.name, tenant_id=found.tenant_id)
    return await rooms.statistics.totals(visit.scope, Period(since=now - _MONTH, until=now), of)


def _steps(found: DomainRecord, rows: tuple[Shown, ...], counts: Counts) -> list[Any]:
    """Name the domain, add records, send a test, go live: the first that is not done is now."""
    is_right = all(row.is_right for row in rows)
    done = [True, is_right, counts.accepted > 0, counts.delivered > 0]
    first = next((n for n, one in enumerate(done) if not one), len(done))
    words = ("Name the domain", "Add DNS records", "Send a test", "Go live")
    return [
        (word, "", "done" if n < first or done[n] else "now" if n == first else "later")
        for n, word in enumerate(words)
    ]


@post("/domains/{domain_id:int}/check", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS})
async def check_domain(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Look at DNS now."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    after = await rooms.dns.check_domain(visit.scope, found)
    wrong = sum(not row.is_right for row in shown_of(rooms.domains, after))
    words = (
        f"{wrong} of its records are not right yet." if wrong else "All of its records are right."
    )
    return visit.to(visit.back(f"/domains/{domain_id}"), "Looked at", words)


@post("/domains/{domain_id:int}/rotate", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS})
async def rotate_domain(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """New keys."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    await rooms.domains.rotate(visit.scope, found.name, tenant_id=found.tenant_id)
    text = (
        "Publish their records. They sign as soon as those are seen; the old ones sign until then."
    )
    return visit.to(f"/domains/{domain_id}", "New keys are made", text)


@post("/domains/{domain_id:int}/import", opt={RIGHT: Right.DOMAINS_MANAGE, RATE: _CHECKS})
async def import_key(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A key that was made elsewhere."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    try:
        selector = visit.form.needed("selector", most=63)
        pem = visit.form.lines("pem", most=65_536)
        await rooms.domains.import_key(
            visit.scope,
            found.name,
            selector=selector,
            pem=pem.encode(),
            tenant_id=found.tenant_id,
        )
    except ConflictError as error:
        wrong = UsageError(str(error), field="selector")
        return await _page(rooms, visit, found, Problem.of(wrong, "import"))
    except UsageError as error:
        error.field = error.field or ("selector" if "selector" in str(error) else "pem")
        return await _page(rooms, visit, found, Problem.of(error, "import"))
    return visit.to(f"/domains/{domain_id}", "The key is taken over", "Publish its record.")


@post("/domains/{domain_id:int}/default", opt={RIGHT: Right.DOMAINS_MANAGE})
async def make_default(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Sign foreign From domains with it."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    await rooms.domains.set_default(visit.scope, found.name, tenant_id=found.tenant_id)
    return visit.to(f"/domains/{domain_id}", "This is the default domain now")


@post("/domains/{domain_id:int}/return-path", opt={RIGHT: Right.DOMAINS_MANAGE})
async def set_return_path(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """One return path a recipient, or a message."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    said = visit.form.one_of("mode", [value for value, _ in _MODES])
    mode = ReturnPathMode(said) if said else None
    await rooms.domains.set_return_path_mode(
        visit.scope, found.name, mode, tenant_id=found.tenant_id
    )
    return visit.to(f"/domains/{domain_id}", "Saved", "From the next message on.")


@post("/domains/{domain_id:int}/remove", opt={RIGHT: Right.DOMAINS_MANAGE})
async def remove_domain(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Give it up; one that has sent within a month has to be named."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    if found.tenant_id == BOX:
        raise ConflictError(f"{found.name} is the box's own: it stays")
    if (await mail_of(rooms, visit, found)).accepted:
        try:
            visit.form.confirmed("confirm", found.name)
        except UsageError as error:
            return await _page(rooms, visit, found, Problem.of(error, "remove"))
    await rooms.domains.remove(visit.scope, found.name, tenant_id=found.tenant_id)
    return visit.to("/domains", "Domain removed", f"{found.name} may not be sent from any more.")


@post("/domains/{domain_id:int}/test", opt={RIGHT: Right.MESSAGES_SEND, RATE: _CHECKS})
async def send_test(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A message from the domain to who asks for it."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    return await trial_mail.send(rooms, visit, found)


@get("/domains/{domain_id:int}/zone", opt={RIGHT: Right.DOMAINS_READ})
async def zone_file(domain_id: Id, rooms: Behind, visit: WhoVisits) -> Response[str]:
    """All records as a zone file."""
    found = await rooms.domains.by_id(visit.scope, domain_id)
    headers = {"Content-Disposition": f'attachment; filename="{found.name}.zone"'}
    text = zone_of(rooms.domains, found)
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


HANDLERS: Final[list[Any]] = [
    domains,
    add_domain,
    domain,
    check_domain,
    rotate_domain,
    import_key,
    make_default,
    set_return_path,
    remove_domain,
    send_test,
    zone_file,
]
