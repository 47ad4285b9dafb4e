"""Notification loops of the worker: a look at the rates of the day, and letters about what was found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices, Severity
from appliance.notifications import Mailer, Notifications
from appliance.operations import Operations
from appliance.people import Users
from appliance.run.own_mail import BoxMail
from appliance.run.people import public_url
from appliance.run.watch_rates import RateWatch
from appliance.statistics import Statistics, prepare
from appliance.tenancy import Tenants

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.operations import KillStatus
    from appliance.run.handover import Handover
    from appliance.run.loops import Loops
    from appliance.run.process import Context

_WATCH_PAUSE: Final = 60.0
_MAIL_PAUSE: Final = 10.0
_LIMIT: Final = 600.0
STOPPED: Final = "sending-stopped"
_SYSTEM: Final = Scope.system(by="worker")


class NotificationLoops:
    """Tells people."""

    def __init__(self, context: Context, engine: AsyncEngine, handover: Handover) -> None:
        settings = context.settings
        self._options = settings.notifications
        self._place = context.home.statistics_location(settings)
        self._counts = open_engine(self._place)
        self._is_prepared = False
        notices = Notices(engine)
        self._notices, self._operations = notices, Operations(engine)
        self._watch = RateWatch(
            Tenants(engine), Statistics(self._counts), notices, settings.notifications
        )
        self._mailer = Mailer(
            notifications=Notifications(engine, notices),
            notices=notices,
            users=Users(engine),
            post=BoxMail(settings.box.hostname, handover),
            box=settings.box.hostname,
            url=public_url(settings),
        )

    def start(self, loops: Loops) -> None:
        """Turn them."""
        loops.start("rate watch", self._watch_rates, pause=_WATCH_PAUSE, limit=_LIMIT)
        loops.start("stop watch", self._watch_stop, pause=_MAIL_PAUSE, limit=_LIMIT)
        if self._options.mail:
            loops.start("notifications", self._mailer.step, pause=_MAIL_PAUSE, limit=_LIMIT)

    async def _watch_rates(self) -> bool:
        if not self._is_prepared:  # a new box has no counts yet
            await asyncio.to_thread(prepare, self._place)
            self._is_prepared = True
        return await self._watch.step()

    async def _watch_stop(self) -> bool:
        """A stop of all sending stands as a notice, whoever flipped the switch and however."""
        status = await self._operations.kill_status()
        if not status.is_on:
            await self._notices.resolve(_SYSTEM, STOPPED, "all")
        elif not await self._notices.list(_SYSTEM, kind=STOPPED):
            await self._notices.raise_(_SYSTEM, _stopped(status))
        return False

    async def close(self) -> None:
        """Let the counts go."""
        await self._counts.dispose()


def _stopped(status: KillStatus) -> Finding:
    return Finding(
        kind=STOPPED,
        subject="all",
        severity=Severity.CRITICAL,
        text=f"{status.by} stopped all sending: {status.reason}",
        next_step="when the reason is gone, `pillarbox kill-switch off` lets mail go again",
    )
