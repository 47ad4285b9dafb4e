"""Home: the first page: what needs doing and how mail goes, of a tenant, or of the whole box (home_box.py).

Each part asks its own room, all at once; what the queue's processes do not say is told in words.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from admin_ui.api.guard import RIGHT
from admin_ui.console.home_box import box_page
from admin_ui.console.mail import recent
from admin_ui.console.moments import moment_of, said
from admin_ui.console.sender_health import counts_of_domains, health_of
from admin_ui.console.sent import today_of, two_days
from admin_ui.console.todo import MOST, facts_of, headline, items_of
from admin_ui.console.visit import Visit, WhoVisits
from admin_ui.processes import Processes
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.core.errors import NotRunningError
from appliance.rights import Right
from mta.scheduling.census import By

if TYPE_CHECKING:
    from appliance.domains import DomainRecord

_RECENT: Final = 6


@get("/", opt={RIGHT: Right.TENANTS_READ})
async def home(
    rooms: Behind, visit: WhoVisits, processes: NamedDependency[Processes]
) -> Response[bytes]:
    """The page of whose view it is."""
    if visit.scope.tenant_id is None:
        return await box_page(rooms, visit, processes)
    return await _tenant_page(rooms, visit, visit.scope.tenant_id)


async def _tenant_page(rooms: Rooms, visit: Visit, tenant_id: int) -> Response[bytes]:
    now, zone = visit.stage.now(), visit.stage.zone
    tenant = await rooms.tenants.by_id(visit.scope, tenant_id)
    facts, points, week, rows, queue, waiting = await asyncio.gather(
        facts_of(rooms, visit, tenant),
        rooms.statistics.series(visit.scope, two_days(now, zone)),
        counts_of_domains(rooms, visit),
        recent(rooms, visit.scope, _RECENT),
        waiting_of(rooms, visit),
        asyncio.to_thread(rooms.log.waiting, visit.scope, now - clock.DAY),
    )
    items = items_of(facts, partial(said, visit))
    return await visit.page(
        "home.html",
        moment=moment_of(visit),
        items=items,
        shown=items[:MOST],
        headline=headline(items),
        today=today_of(points, now, zone, waiting),
        queue=queue,
        health=health_of(facts.domains, week, rooms.files.alarms),
        rows=rows,
        tested=_tested(facts.domains),
    )


async def waiting_of(rooms: Rooms, visit: Visit) -> tuple[int, int] | None:
    """How many recipients wait or are held, and since when the oldest waits; None: nobody says."""
    try:
        found = await rooms.queue.summary(visit.scope, By.DOMAIN, 1)
    except NotRunningError:
        return None
    return sum(found["counts"].values()), found["oldest_waiting"]


def _tested(domains: tuple[DomainRecord, ...]) -> DomainRecord | None:
    """From which domain a test message is sent."""
    proved = [one for one in domains if one.verified]
    return min(proved, key=lambda one: not one.is_default, default=None)


HANDLERS: Final[list[Any]] = [home]
