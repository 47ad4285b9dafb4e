"""Command palette: pages, records and what can be done to them, found by a few letters; a page without scripts, too.

Every question is bounded and asked only of who may see the answer; what does not answer is left out. Destinations
come from the count of the queue that is at hand, messages by their id: nothing is searched through.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from litestar import Response, get
from litestar.params import QueryParameter

from admin_ui.api.nouns import PLAIN
from admin_ui.console.guard import SIGNED_IN
from admin_ui.console.nav import groups_of
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import NotRunningError
from appliance.rights import Right
from mta.scheduling.census import By
from mta.scheduling.why import TITLES, Why

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_MOST: Final = 5  # of a group
_COUNTED: Final = 500  # destinations that are looked through
_LISTED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A line: a page to open, or a form to send."""

    icon: str
    words: str
    href: str
    post: Mapping[str, str] = field(default_factory=dict)  # fields, where it is an action


Group = tuple[str, list[Option]]


@get("/palette", opt={SIGNED_IN: True})
async def palette(
    rooms: Behind,
    visit: WhoVisits,
    q: Annotated[str, QueryParameter(max_length=320, pattern=PLAIN)] = "",
) -> Response[bytes]:
    """What fits."""
    said = q.strip().lower()
    groups = [("Pages", _pages(visit, said))]
    if said:
        groups = await _records(rooms, visit, said) + groups
    found = [(name, options) for name, options in groups if options]
    template = "palette_part.html" if visit.is_part else "palette.html"
    return await visit.page(template, groups=found, q=q)


def _pages(visit: Visit, said: str) -> list[Option]:
    every = [one for _, places in groups_of(visit.actor) for one in places]
    fits = [one for one in every if said in one.name.lower()]
    options = [Option(icon=one.icon, words=one.name, href=one.path) for one in fits]
    more = [
        ("bell", "Notifications", "/notifications"),
        ("circle-user", "Your account", "/account"),
    ]
    if visit.is_box and visit.may(Right.SENDING_STOP):
        more.append(("octagon-minus", "Stop sending…", "/stop"))
    options += [
        Option(icon=icon, words=words, href=href)
        for icon, words, href in more
        if said and said in words.lower()
    ]
    return options if not said else options[:_MOST]


async def _records(rooms: Rooms, visit: Visit, said: str) -> list[Group]:
    asked: list[tuple[str, Right, Callable[[Rooms, Visit, str], Awaitable[list[Option]]]]] = [
        ("Queue", Right.QUEUE_READ, _queue),
        ("Messages", Right.MESSAGES_READ, _messages),
        ("Domains", Right.DOMAINS_READ, _domains),
        ("Credentials", Right.CREDENTIALS_READ, _credentials),
    ]
    if visit.is_box:
        asked += [("Tenants", Right.TENANTS_READ, _tenants), ("Egress", Right.EGRESS_READ, _egress)]
    mine = [(name, find) for name, right, find in asked if visit.may(right)]
    found = await asyncio.gather(*(find(rooms, visit, said) for _, find in mine))
    return [(name, options) for (name, _), options in zip(mine, found, strict=True)]


async def _queue(rooms: Rooms, visit: Visit, said: str) -> list[Option]:
    """Destinations with what waits there, and hands for the fullest."""
    try:
        found = await rooms.queue.summary(visit.scope, By.DOMAIN, _COUNTED)
    except NotRunningError:
        return []
    fits = [one for one in found["groups"] if one["name"].startswith(said)][:_MOST]
    options: list[Option] = []
    for one in fits:
        name, why = one["name"], TITLES[Why(one["kind"])].lower()
        href = f"/queue/{quote(name, safe='')}"
        words = f"{name}, {one['count']:,} waiting, {why}"
        options.append(Option(icon="server", words=words, href=href))
    if fits and visit.may(Right.QUEUE_OPERATE):
        name = fits[0]["name"]
        act = f"/queue/{quote(name, safe='')}/act"
        options += [
            Option(icon="rotate-cw", words=f"Retry {name} now", href=act, post={"action": "retry"}),
            Option(icon="pause", words=f"Hold {name}", href=act, post={"action": "hold"}),
        ]
    return options


async def _messages(_: Rooms, __: Visit, said: str) -> list[Option]:
    options: list[Option] = []
    try:
        ids.from_text(said)
        options.append(Option(icon="mail", words=f"Message {said}", href=f"/messages/{said}"))
    except ValueError:
        pass
    if "@" in said or "." in said:
        href = f"/messages?q={quote(said, safe='')}"
        options.append(Option(icon="search", words=f"Messages to {said}", href=href))
    return options


async def _domains(rooms: Rooms, visit: Visit, said: str) -> list[Option]:
    found = await rooms.domains.page(visit.scope, limit=_MOST, prefix=said)
    return [Option(icon="globe", words=one.name, href=f"/domains/{one.id}") for one in found]


async def _credentials(rooms: Rooms, visit: Visit, said: str) -> list[Option]:
    found = await rooms.credentials.page(visit.scope, limit=_LISTED)
    fits = [one for one in found if said in one.name.lower()][:_MOST]
    return [Option(icon="key-round", words=one.name, href=f"/credentials/{one.id}") for one in fits]


async def _tenants(rooms: Rooms, visit: Visit, said: str) -> list[Option]:
    found = await rooms.tenants.page(visit.scope, limit=_MOST, prefix=said)
    return [Option(icon="building-2", words=one.name, href=f"/tenants/{one.id}") for one in found]


async def _egress(rooms: Rooms, visit: Visit, said: str) -> list[Option]:
    found = await rooms.egresses.list(visit.scope)
    fits = [one for one in found if said in one.name or any(said in a for a in one.addresses)]
    return [
        Option(icon="layers", words=f"{one.name}, {', '.join(one.addresses)}", href="/egress")
        for one in fits[:_MOST]
    ]


HANDLERS: Final[list[Any]] = [palette]
