"""Blocklists: which of the box's addresses are listed where, what that means, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.jobs import IMPORT_JOB, JobShape, job_shape
from admin_ui.api.nouns import cut, page
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind
from appliance.blocklists import Blocklist, ListCheck, Listing
from appliance.rights import Right

_CHECKS: Final = Rate(1 / 30, 3)
_LISTING: Final = {
    "id": 2,
    "egress": "out-1",
    "address": "203.0.113.5",
    "zone": "bl.example.org",
    "codes": ["127.0.0.2"],
    "meaning": ["sent to a trap"],
    "text": "https://bl.example.org/?203.0.113.5",
    "page": "https://bl.example.org/?203.0.113.5",
    "runbook": ["Find the sender of the mail, stop it, then ask to be delisted."],
    "listed_at": "2026-11-20T10:00:00Z",
    "last_seen_at": "2026-11-20T11:00:00Z",
    "delisted_at": None,
    "drained": True,
}
_LIST: Final = {
    "zone": "bl.example.org",
    "name": "Example list",
    "state": "usable",
    "why": "",
    "drains": True,
    "checked_at": "2026-11-20T11:00:00Z",
    "since": "2026-11-01T00:00:00Z",
}


class ListingShape(msgspec.Struct, frozen=True, kw_only=True):
    """An address on a list."""

    id: int
    egress: str
    address: str
    zone: str
    codes: list[str]
    meaning: Annotated[list[str], Meta(description="Of each code that is known.")]
    text: Annotated[str, Meta(description="What the list says.")]
    page: Annotated[str, Meta(description="Where a person looks it up.")]
    runbook: Annotated[list[str], Meta(description="What to do.")]
    listed_at: datetime | None
    last_seen_at: datetime | None
    delisted_at: datetime | None
    drained: Annotated[bool, Meta(description="The egress is held back for this.")]


class ListingPage(msgspec.Struct, frozen=True, kw_only=True):
    """Listings, oldest first; `cursor` leads on, "" at the end."""

    items: list[ListingShape]
    cursor: str


class BlocklistShape(msgspec.Struct, frozen=True, kw_only=True):
    """A list, and whether it may be believed."""

    zone: str
    name: str
    state: Annotated[str, Meta(description="usable, not usable, unreachable, or not asked yet.")]
    why: str
    drains: Annotated[bool, Meta(description="Whether a listing may hold an egress back.")]
    checked_at: datetime | None
    since: datetime | None


class BlocklistPage(msgspec.Struct, frozen=True, kw_only=True):
    """Lists by zone; `cursor` leads on, "" at the end."""

    items: list[BlocklistShape]
    cursor: str


@get(
    "/blocklists",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_LIST], "cursor": ""})},
    tags=["blocklists"],
    summary="List the blocklists",
)
async def list_blocklists(
    rooms: Behind, asker: WhoAsks, cursor: Cursor = "", limit: Limit = 50
) -> BlocklistPage:
    """Those that are asked, and how each answered last."""
    checks = await rooms.blocklists.checks(asker.actor.scope)
    items, last = page(await rooms.files.blocklists(), lambda one: one.zone, cursor, limit)
    return BlocklistPage(items=[_list(one, checks.get(one.zone)) for one in items], cursor=last)


@get(
    "/blocklists/listings",
    opt={RIGHT: Right.EGRESS_READ, EXAMPLE: Example({"items": [_LISTING], "cursor": ""})},
    tags=["blocklists"],
    summary="Tell who is listed where",
)
async def list_listings(
    *,
    rooms: Behind,
    asker: WhoAsks,
    ended: Annotated[bool, QueryParameter(description="Those that are over, too.")] = False,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> ListingPage:
    """With what the codes mean, and what to do."""
    found = await rooms.blocklists.listings(
        asker.actor.scope, open_only=not ended, after=place_of(cursor), limit=limit + 1
    )
    items, last = cut(found, limit, lambda one: one.id)
    known = {one.zone: one for one in await rooms.files.blocklists()} if items else {}
    return ListingPage(items=[_listing(one, known.get(one.zone)) for one in items], cursor=last)


@post(
    "/blocklists/check",
    status_code=202,
    opt={
        RIGHT: Right.EGRESS_MANAGE,
        RATE: _CHECKS,
        EXAMPLE: Example(IMPORT_JOB | {"kind": "blocklist-check", "asked": {}}),
    },
    tags=["blocklists"],
    summary="Ask the blocklists now",
)
async def check_blocklists(rooms: Behind, asker: WhoAsks) -> JobShape:
    """A job asks all lists about all addresses; they are asked by themselves every hour in any case.

    While one is at work, asking again answers that one.
    """
    return job_shape(await rooms.exports.check_blocklists(asker.actor.scope))


def _list(one: Blocklist, check: ListCheck | None) -> BlocklistShape:
    return BlocklistShape(
        zone=one.zone,
        name=one.name,
        state=check.state if check else "not asked yet",
        why=check.why if check else "",
        drains=one.drain,
        checked_at=moment(check.checked_at) if check else None,
        since=moment(check.since) if check else None,
    )


def _listing(one: Listing, of: Blocklist | None) -> ListingShape:
    meanings = [of.meaning_of(code) for code in one.codes] if of else []
    return ListingShape(
        id=one.id,
        egress=one.egress,
        address=one.address,
        zone=one.zone,
        codes=list(one.codes),
        meaning=[words for words in meanings if words],
        text=one.text,
        page=of.page_for(one.address) if of else "",
        runbook=list(of.runbook) if of else [],
        listed_at=moment(one.listed_at),
        last_seen_at=moment(one.last_seen_at),
        delisted_at=moment(one.delisted_at),
        drained=one.drained,
    )


HANDLERS: Final[list[Any]] = [list_blocklists, list_listings, check_blocklists]
