"""Events: the stream of all that happens, behind a cursor that never misses one.

Events come in the order in which the log took them in. The cursor of a page that was the last serves all
the same for what comes. One from before the oldest day that is kept goes on at that day.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.messages import (
    EVENT,
    Address,
    Event,
    Since,
    Whose,
    Word,
    event_of,
    ms_of,
    scope_of,
)
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example
from admin_ui.rooms import Behind
from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.history import EventFilters, cursor_at
from appliance.rights import Right
from mta.status import EventKind

Many = Annotated[int, QueryParameter(ge=1, le=1000, description="Events of a page.")]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order in which they came; ask again with `cursor`."""

    items: list[Event]
    cursor: str
    more: Annotated[bool, msgspec.Meta(description="False: this is all there is for now.")]


@get(
    "/events",
    opt={
        RIGHT: Right.MESSAGES_READ,
        EXAMPLE: Example({"items": [EVENT], "cursor": "1887436800001048576", "more": False}),
    },
    tags=["events"],
    summary="Follow the events",
)
async def list_events(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    kind: FromQuery[list[EventKind] | None] = None,
    message: Word = "",
    recipient: Address = "",
    domain: Word = "",
    since: Since = None,
    tenant: Whose = "",
    cursor: Cursor = "",
    limit: Many = 100,
) -> EventPage:
    """Events behind the cursor; without one from `since`, else from the oldest that is kept."""
    _check_message(message)
    filters = EventFilters(
        kinds=frozenset(kind or ()), message=message, address=recipient, domain=domain
    )
    start = cursor or (cursor_at(ms_of(since)) if since else "")
    read = partial(rooms.log.events, await scope_of(rooms, asker, tenant), filters)
    page = await asyncio.to_thread(read, cursor=start, limit=limit)
    return EventPage(
        items=[event_of(event) for event in page.events], cursor=page.cursor, more=page.more
    )


def _check_message(text: str) -> None:
    try:
        if text:
            ids.from_text(text)
    except ValueError as error:
        raise UsageError(str(error), field="message") from error


HANDLERS: Final[list[Any]] = [list_events]
