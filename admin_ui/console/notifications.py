"""Notifications: what somebody should know and do something about, up to where they have looked, and their choices."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromQuery

from admin_ui.api.guard import RIGHT
from admin_ui.console.todo import item_of_notice
from admin_ui.console.visit import WhoVisits
from admin_ui.rooms import Behind
from appliance.notices import Severity
from appliance.rights import Right

_MOST: Final = 100  # kinds in a form
SHAPES: Final = {
    Severity.CRITICAL: ("Now", "bad", "x"),
    Severity.WARNING: ("Soon", "look", "triangle-alert"),
    Severity.INFO: ("To know", "way", "info"),
}


@get("/notifications", opt={RIGHT: Right.NOTIFICATIONS_READ})
async def notifications(
    rooms: Behind, visit: WhoVisits, show: FromQuery[str] = ""
) -> Response[bytes]:
    """The feed and the choices."""
    me = visit.own.seen.person_id
    feed, choices = await asyncio.gather(
        rooms.notifications.feed(visit.scope, me, open_only=show != "all"),
        rooms.notifications.choices(visit.scope, me),
    )
    whose = {one.notice.tenant_id for one in feed.entries} - {0} if visit.is_box else set()
    return await visit.page(
        "notifications.html",
        entries=[(one, item_of_notice(one.notice)) for one in feed.entries],
        unseen=feed.unseen,
        newest=max((one.notice.id for one in feed.entries), default=0),
        names=await rooms.tenants.names(visit.scope, whose) if whose else {},
        shapes=SHAPES,
        choices=choices,
        show=show,
    )


@post("/notifications/seen", opt={RIGHT: Right.NOTIFICATIONS_READ})
async def look(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Nothing is new up to the newest that the page showed."""
    upto = visit.form.whole("upto", most=1 << 49)
    await rooms.notifications.look(visit.scope, visit.own.seen.person_id, upto)
    return visit.to("/notifications")


@post("/notifications/choices", opt={RIGHT: Right.NOTIFICATIONS_READ})
async def choose(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Of every kind: whether it stands in the feed, whether it comes by mail."""
    me = visit.own.seen.person_id
    feed = set(visit.form.many("feed", most=_MOST))
    mail = set(visit.form.many("mail", most=_MOST))
    changed = [
        one
        for one in await rooms.notifications.choices(visit.scope, me)
        if (one.in_feed, one.by_mail) != (one.kind in feed, one.kind in mail)
    ]
    for one in changed:
        await rooms.notifications.choose(
            visit.scope, me, one.kind, in_feed=one.kind in feed, by_mail=one.kind in mail
        )
    return visit.to("/notifications", "Saved", "It holds from now on.")


HANDLERS: Final[list[Any]] = [notifications, look, choose]
