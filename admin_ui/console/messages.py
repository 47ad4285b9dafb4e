"""Messages: search them, follow them as they come, have them written out; and what failed for good, by reason.

A row is a recipient, newest message first; pages by a cursor that stays true while mail comes in. What one
search box holds is read for what it looks like: an address, the beginning of one, a domain, an id, a Message-ID,
words of a subject. What has no index is looked for among the newest so many; the page says so and goes on from there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import MAX_ID, in_field
from admin_ui.api.rates import Rate
from admin_ui.console.form import Form
from admin_ui.console.mail import LATE, STATES, MessageRow, rows_of
from admin_ui.console.reasons import day_of, reasons_of
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.core.scope import BOX, Scope
from appliance.history import Filters, Flag, Page
from appliance.rights import Right
from appliance.statistics import Counts
from mta.status import Status, TrafficClass

PAGE_ROWS: Final = 50
_READ: Final = {RIGHT: Right.MESSAGES_READ}
_EXPORTS: Final = Rate(5 / 60, 5)
_FLAGS: Final = {flag.name.lower(): flag for flag in LATE if flag.name}
_CHIPS: Final = (
    ("", "All"),
    (Status.QUEUED, "Not yet tried"),
    (Status.DEFERRED, "Waiting"),
    (Status.HELD, "Held"),
    (Status.DELIVERED, "Delivered"),
    (Status.BOUNCED, "Bounced"),
    (Status.EXPIRED, "Expired"),
    (Status.SUPPRESSED, "Suppressed"),
    (Status.CANCELLED, "Cancelled"),
    *((name, LATE[flag][0]) for name, flag in _FLAGS.items()),
)
"""States and late news to filter by, in the order of a message's life."""

MORE: Final = (
    "sender", "sender_domain", "domain", "subject", "credential", "traffic_class", "tag", "since", "until", "tenant",
)  # fmt: skip
"""Filters behind the button."""

_CLASSES: Final = (
    ("", "All"),
    (TrafficClass.TRANSACTIONAL, "Transactional"),
    (TrafficClass.BULK, "Bulk"),
)
_MOST_CREDENTIALS: Final = 200
_FAILED: Final = (Status.BOUNCED, Status.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks for, as it stands in the page's address."""

    q: str = ""
    state: str = ""  # a Status, or a flag by name
    reason: str = ""
    sender: str = ""
    domain: str = ""
    tag: str = ""
    credential: str = ""
    traffic_class: str = ""
    sender_domain: str = ""
    subject: str = ""
    since: str = ""
    until: str = ""
    tenant: str = ""
    cursor: str = ""
    live: str = ""  # "0": stands still
    seen: str = ""  # the newest row that a page showed before
    path: str = "/messages"

    def link(self, **other: str) -> str:
        """The page's address with something else in it; another filter begins at the first page."""
        new = replace(self, **{"cursor": "", "seen": "", **other})
        said = {one.name: getattr(new, one.name) for one in fields(new) if one.name != "path"}
        query = urlencode({name: value for name, value in said.items() if value})
        return f"{new.path}?{query}" if query else new.path

    @property
    def kept(self) -> dict[str, str]:
        """What a form of the page carries along: all filters."""
        names = ("q", "state", "reason", *MORE)
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def has_more(self) -> bool:
        """Whether a filter is set that stands behind "More filters"."""
        return any(getattr(self, name) for name in MORE)


@get("/messages", opt=_READ)
async def messages(visit: WhoVisits) -> Response[bytes]:
    """The list."""
    return await _list(visit, "messages.html", wanted_of(Form(_query(visit)), "/messages"))


@get("/messages/failed", opt=_READ)
async def failed(visit: WhoVisits) -> Response[bytes]:
    """What bounced or expired, by reason."""
    wanted = wanted_of(Form(_query(visit)), "/messages/failed")
    if wanted.state not in _FAILED:
        wanted = replace(wanted, state=Status.BOUNCED.value)
    reasons = await reasons_of(visit.rooms, visit.scope, visit.stage)
    return await _list(visit, "messages_failed.html", wanted, reasons=reasons)


async def _list(
    visit: Visit, template: str, wanted: Wanted, problem: Problem = NO_PROBLEM, **more: Any
) -> Response[bytes]:
    today, found, credentials = await asyncio.gather(
        _today(visit), _search(visit, wanted), credentials_of(visit, wanted.credential)
    )
    if isinstance(found, Problem):
        problem, found = found, ([], Page(rows=(), cursor=""))
    rows, page = found
    newest = rows[0].key if rows else ""
    return await visit.page(
        template,
        problem=problem,
        wanted=wanted,
        rows=rows,
        after=page.cursor,
        looked=page.looked,
        credentials=credentials,
        classes=_CLASSES,
        more=MORE,
        today=today,
        newest=newest,
        fresh={row.key for row in rows if wanted.seen and row.key > wanted.seen},
        chips=[[wanted.link(state=one), words, None, one == wanted.state] for one, words in _CHIPS],
        **more,
    )


async def _search(visit: Visit, wanted: Wanted) -> tuple[list[MessageRow], Page] | Problem:
    try:
        scope = await _scope(visit.rooms, visit.scope, wanted.tenant)
        ask = partial(visit.rooms.log.search, scope, filters_of(wanted, visit), limit=PAGE_ROWS)
        page = await asyncio.to_thread(ask, cursor=wanted.cursor)
    except UsageError as error:
        return Problem.of(error)
    return await rows_of(visit.rooms, visit.scope, page.rows), page


async def credentials_of(visit: Visit, chosen: str) -> list[tuple[str, str]]:
    """Of a tenant, to choose from; the box has too many, and is asked by a number."""
    if visit.is_box or not visit.may(Right.CREDENTIALS_READ):
        return []
    found = await visit.rooms.credentials.page(visit.scope, limit=_MOST_CREDENTIALS)
    known = {"": "All", chosen: f"Number {chosen}"} if chosen else {"": "All"}
    return list((known | {str(one.id): one.name for one in found}).items())


async def _today(visit: Visit) -> Counts:
    period = day_of(visit.stage.now(), visit.stage.zone)
    return await visit.rooms.statistics.totals(visit.scope, period)


async def _scope(rooms: Rooms, scope: Scope, tenant: str) -> Scope:
    """All that is seen, or of it one tenant's."""
    if not tenant:
        return scope
    with in_field("tenant"):
        return scope.within((await rooms.tenants.get(scope, tenant)).id)


def _query(visit: Visit) -> dict[str, list[str]]:
    given = visit.request.query_params
    return {name: given.getall(name) for name in given.keys()}  # noqa: SIM118 - a MultiDict


def wanted_of(form: Form, path: str) -> Wanted:
    """What the address, or a form, asks for. Raises UsageError for what is too long or no text."""
    names = [one.name for one in fields(Wanted) if one.name != "path"]
    return Wanted(path=path, **{name: form.text(name, most=500) for name in names})


def filters_of(wanted: Wanted, visit: Visit) -> Filters:
    """As the log is asked. Raises UsageError, naming the field."""
    times = Form({"since": [wanted.since], "until": [wanted.until]})
    since, until = (times.moment(name, visit.stage.zone) for name in ("since", "until"))
    if since and until and since >= until:
        raise UsageError("this is not after the beginning", field="until")
    said = read_box(wanted.q)
    if wanted.domain:
        said["domain"] = wanted.domain
    if wanted.subject:
        said["subject"] = wanted.subject
    state, flags = _state_of(wanted.state)
    return Filters(
        **said,
        status=state,
        category=wanted.reason if state in _FAILED else "",
        flags=flags,
        sender=wanted.sender,
        tag=wanted.tag,
        credential=Form({"credential": [wanted.credential]}).whole("credential", most=MAX_ID),
        traffic_class=Form({"traffic_class": [wanted.traffic_class]}).one_of(
            "traffic_class", [one for one, _ in _CLASSES]
        ),
        sender_domain=wanted.sender_domain,
        since=since,
        until=until,
    )


def _state_of(name: str) -> tuple[Status | None, Flag]:
    if name in STATES:
        return Status(name), Flag(0)
    return None, _FLAGS.get(name, Flag(0))


def read_box(text: str) -> dict[str, str]:
    """What somebody typed, by what it looks like. Pure. Raises UsageError."""
    if not text:
        return {}
    if text.startswith("<") or _is_id(text):
        return {"message": text}
    if "@" in text.strip("@") or text.endswith("*"):
        return {"address": text}
    if " " in text:
        return {"subject": text}
    if "." in text:
        return {"domain": text.removeprefix("@")}
    if len(text) < 3:
        raise UsageError("give at least 3 characters", field="q")
    return {"address": f"{text}*"}


def _is_id(text: str) -> bool:
    try:
        return ids.from_text(text) > 0
    except ValueError:
        return False


@post("/messages/export", opt={**_READ, RATE: _EXPORTS})
async def export_messages(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """All that the filters find, as a file, by a job."""
    visit.actor.require(Right.JOBS_READ)
    wanted = wanted_of(visit.form, "/messages")
    filters = filters_of(wanted, visit)
    scope = await _scope(rooms, visit.scope, wanted.tenant)
    asked = {one.name: getattr(filters, one.name) for one in fields(filters)}
    given = {name: value for name, value in asked.items() if value}
    if "flags" in given:
        given["flags"] = int(given["flags"])
    job = await rooms.exports.order(scope, scope.tenant_id or BOX, "messages", given)
    return visit.to(f"/jobs/{job.id}", "The export has begun", "The file is there when it is done.")


HANDLERS: Final[list[Any]] = [messages, failed, export_messages]
