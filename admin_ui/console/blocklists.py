"""Blocklists: which address is on which list, what the list says and what to do; the lists that are asked; what was."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post

from admin_ui.api.guard import RATE, RIGHT
from admin_ui.api.nouns import cut
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.visit import WhoVisits
from admin_ui.rooms import Behind
from appliance.blocklists import ListState
from appliance.core.errors import UsageError
from appliance.rights import Right

PAGE: Final = 50
_MOST: Final = 200
_CHECKS: Final = Rate(1 / 30, 3)
"""Lists count who asks them how often."""

STATES: Final = {
    ListState.USABLE: ("Answers", "good", "check"),
    ListState.UNUSABLE: ("Not usable", "look", "triangle-alert"),
    ListState.UNREACHABLE: ("No answer", "look", "wifi-off"),
}


@get("/blocklists", opt={RIGHT: Right.EGRESS_READ})
async def blocklists(rooms: Behind, visit: WhoVisits, cursor: Cursor = "") -> Response[bytes]:
    """What is listed now, the lists, and what was listed."""
    scope, place = visit.scope, place_of(cursor)
    listed, every, lists, checks, asked = await asyncio.gather(
        rooms.blocklists.listings(scope, limit=_MOST),
        rooms.blocklists.listings(scope, open_only=False, after=place, limit=PAGE + 1),
        rooms.files.blocklists(),
        rooms.blocklists.checks(scope),
        rooms.exports.blocklist_check(scope),
    )
    history, after = cut(every, PAGE, lambda one: one.id)
    return await visit.page(
        "blocklists.html",
        listed=listed,
        history=[one for one in history if one.delisted_at],
        after=after,
        cursor=cursor,
        lists=lists,
        by_zone={one.zone: one for one in lists},
        checks=checks,
        asked=asked,
        states=STATES,
    )


@post("/blocklists/check", opt={RIGHT: Right.EGRESS_MANAGE, RATE: _CHECKS})
async def check_now(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Ask all lists about all addresses, by a job; the page tells what came of it."""
    try:
        await rooms.exports.check_blocklists(visit.scope)
    except UsageError as error:
        return visit.refused(error)
    return visit.to(
        "/blocklists", "The lists are being asked", "What they say stands here at once."
    )


HANDLERS: Final[list[Any]] = [blocklists, check_now]
