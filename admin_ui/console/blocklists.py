"""Blocklists: which address is on which list, what the list says and what to do; the lists that are asked; what was."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get

from admin_ui.api.guard import RIGHT
from admin_ui.api.nouns import cut
from admin_ui.api.shapes import Cursor, place_of
from admin_ui.console.visit import WhoVisits
from admin_ui.rooms import Behind
from appliance.blocklists import ListState
from appliance.rights import Right

PAGE: Final = 50
_MOST: Final = 200
STATES: Final = {
    ListState.USABLE: ("Answers", "good", "check"),
    ListState.UNUSABLE: ("Not usable", "look", "triangle-alert"),
    ListState.UNREACHABLE: ("No answer", "look", "wifi-off"),
}


@get("/blocklists", opt={RIGHT: Right.EGRESS_READ})
async def blocklists(rooms: Behind, visit: WhoVisits, cursor: Cursor = "") -> Response[bytes]:
    """What is listed now, the lists, and what was listed."""
    scope, place = visit.scope, place_of(cursor)
    listed, every, lists, checks = await asyncio.gather(
        rooms.blocklists.listings(scope, limit=_MOST),
        rooms.blocklists.listings(scope, open_only=False, after=place, limit=PAGE + 1),
        rooms.files.blocklists(),
        rooms.blocklists.checks(scope),
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
        states=STATES,
    )


HANDLERS: Final[list[Any]] = [blocklists]
