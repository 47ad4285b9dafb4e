"""Counts: the figures at the right of the side bar, only where somebody must act.

Asked for by each page once it stands, and again when one of the topics moves. What cannot be counted now is left
out: a page does not wait for its side bar.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get

from admin_ui.console.egress_health import is_held
from admin_ui.console.guard import SIGNED_IN
from admin_ui.console.usage import Used, limit_of
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.console.words import percent
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import NotRunningError
from appliance.egress import CheckState
from appliance.rights import Right
from appliance.statistics import Period
from mta.scheduling.census import By

_OPT: Final = {SIGNED_IN: True}
_MOST: Final = 200  # domains that are looked at
_NOTHING: Final = ("", "")
_LOOKS: Final = "look"
_BAD: Final = "bad"

Count = tuple[str, str]
"""A figure and the state that it tells; "" where nobody must act."""


@get("/counts", opt=_OPT)
async def counts(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The figures, as parts that take their place in the page."""
    asked = {
        "queue": (Right.QUEUE_READ, _queue),
        "domains": (Right.DOMAINS_READ, _domains),
        "webhooks": (Right.WEBHOOKS_READ, _webhooks),
        "jobs": (Right.JOBS_READ, _jobs),
        "usage": (Right.STATISTICS_READ, _usage),
    }
    if visit.is_box:
        asked |= {
            "egress": (Right.EGRESS_READ, _egresses),
            "shaping": (Right.EGRESS_READ, _throttles),
            "warmup": (Right.EGRESS_READ, _warmups),
            "blocklists": (Right.EGRESS_READ, _listings),
        }
        del asked["webhooks"], asked["usage"]
    mine = {name: count for name, (right, count) in asked.items() if visit.may(right)}
    found = await asyncio.gather(*(count(rooms, visit) for count in mine.values()))
    return await visit.page("counts.html", counts=dict(zip(mine, found, strict=True)))


async def _queue(rooms: Rooms, visit: Visit) -> Count:
    """What waits: of the whole box, whose admin looks after it."""
    if not visit.is_box:
        return _NOTHING
    try:
        found = await rooms.queue.summary(visit.scope, By.DOMAIN, 1)
    except NotRunningError:
        return _NOTHING
    return _figure(sum(found["counts"].values()), _LOOKS)


async def _domains(rooms: Rooms, visit: Visit) -> Count:
    """Those of a tenant that are not proved."""
    if visit.is_box:
        return _NOTHING
    found = await rooms.domains.page(visit.scope, limit=_MOST)
    return _figure(sum(not one.verified for one in found), _BAD)


async def _webhooks(rooms: Rooms, visit: Visit) -> Count:
    found = await rooms.webhooks.list(visit.scope)
    return _figure(sum(not one.is_enabled for one in found), _BAD)


async def _jobs(rooms: Rooms, visit: Visit) -> Count:
    found = await rooms.jobs.list(visit.scope, open_only=True, limit=_MOST)
    return _figure(len(found), "")


async def _warmups(rooms: Rooms, visit: Visit) -> Count:
    found, kept = await asyncio.gather(
        rooms.warmups.list(visit.scope), rooms.warmups.held(visit.scope)
    )
    held = {one.egress for one in found if is_held(one, kept)}
    return (f"{len(held)} held", _LOOKS) if held else _NOTHING


async def _egresses(rooms: Rooms, visit: Visit) -> Count:
    """Whose names in DNS are wrong."""
    found = await rooms.egresses.list(visit.scope)
    wrong = [one for one in found if any(one.dns(at) is CheckState.WRONG for at in one.addresses)]
    return _figure(len(wrong), _BAD)


async def _throttles(rooms: Rooms, visit: Visit) -> Count:
    """Receivers to which nothing goes from some address."""
    found = await rooms.throttles.suspended(visit.scope)
    return _figure(len(found), _BAD)


async def _usage(rooms: Rooms, visit: Visit) -> Count:
    """How much of today's limit is used, from where the tenant is told of it."""
    now, limit = visit.stage.now(), await limit_of(rooms, visit)
    if not limit:
        return _NOTHING
    used = await rooms.statistics.totals(visit.scope, Period(since=now, until=now + 1))
    today = Used(used=used.accepted, limit=limit)
    return (percent(today.used, limit, 0), today.kind) if today.kind else _NOTHING


async def _listings(rooms: Rooms, visit: Visit) -> Count:
    found = await rooms.blocklists.listings(visit.scope, limit=_MOST)
    return _figure(len(found), _BAD)


def _figure(number: int, kind: str) -> Count:
    return (f"{number:,}", kind) if number else _NOTHING


HANDLERS: Final[list[Any]] = [counts]
