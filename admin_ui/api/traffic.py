"""Traffic: how fast mail comes and goes, now and over the last two hours (appliance/run/live.py)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, WhoAsks
from admin_ui.api.nouns import Whose, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.rates import Rate
from admin_ui.api.shapes import Example, moment
from admin_ui.rooms import Behind
from appliance.rights import Right

_WATCHING: Final = Rate(2, 20)
"""For who looks every second; a tenant's own mail is counted for it."""


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Now, as the mean of ten seconds; of the whole box, so null for a tenant."""

    accepted_per_s: Annotated[float | None, Meta(description="Recipients taken over.")]
    leaving_per_s: Annotated[float | None, Meta(description="Recipients delivered or bounced.")]
    connections: Annotated[int | None, Meta(description="Open to receivers.")]
    due_next_hour: Annotated[int, Meta(description="Recipients that are tried again by then.")]


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients a second, over one minute."""

    at: Annotated[datetime | None, Meta(description="When the minute began.")]
    accepted: float
    delivered: float
    deferred: float
    bounced: float


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; it begins when the box began, two hours ago at most."""

    items: list[Minute]


@get(
    "/queue/live",
    opt={
        RIGHT: Right.QUEUE_READ,
        RATE: _WATCHING,
        EXAMPLE: Example(
            {
                "accepted_per_s": 374.0,
                "leaving_per_s": 412.5,
                "connections": 137,
                "due_next_hour": 31870,
            }
        ),
    },
    tags=["queue"],
    summary="Show how fast mail leaves",
)
async def show_live(rooms: Behind, asker: WhoAsks, tenant: Whose = "") -> Live:
    """The rates of this moment, and what is tried again within an hour."""
    scope = await view_of(rooms, asker, tenant)
    return Live(**await rooms.queue.live(scope))


@get(
    "/queue/traffic",
    opt={
        RIGHT: Right.BOX_READ,
        RATE: _WATCHING,
        EXAMPLE: Example(
            {
                "items": [
                    {
                        "at": "2026-11-20T10:00:00Z",
                        "accepted": 374.2,
                        "delivered": 346.0,
                        "deferred": 21.5,
                        "bounced": 2.1,
                    }
                ]
            }
        ),
    },
    tags=["queue"],
    summary="Show the traffic of the last two hours",
)
async def show_traffic(rooms: Behind) -> Traffic:
    """Of the whole box, minute by minute, as far as its processes remember."""
    rows = await rooms.queue.traffic()
    return Traffic(items=[Minute(**row | {"at": moment(row["at"])}) for row in rows])


HANDLERS: Final[list[Any]] = [show_live, show_traffic]
