"""Replay as a job: everything that happened since a time is sent to an endpoint again.

As many events a step as the endpoint has room for; a job whose endpoint takes nothing waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core.scope import Scope
from appliance.history import cursor_at
from appliance.jobs import Order, Step
from appliance.webhooks.model import Waiting
from appliance.webhooks.stream import Stream, kinds_of

if TYPE_CHECKING:
    from appliance.history import LogReader
    from appliance.jobs import Job
    from appliance.webhooks.model import Endpoint
    from appliance.webhooks.service import Webhooks

KIND: Final = "webhook-replay"
_PAGE: Final = 200
_PATIENCE: Final = 1.0  # seconds, when there is no room


def replay_order(endpoint: Endpoint, since: int) -> Order:
    """Replay what happened since then, up to now."""
    asked = {"webhook": endpoint.id, "since": since}
    return Order(kind=KIND, tenant_id=endpoint.tenant_id, asked=asked)


class WebhookReplay:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(self, webhooks: Webhooks, log: LogReader) -> None:
        self._webhooks, self._stream = webhooks, Stream(log)

    async def step(self, job: Job) -> Step:
        """The next page of events, or as much of it as there is room for."""
        scope = Scope.tenant(job.tenant_id, by=job.by)
        endpoint = await self._webhooks.get(scope, int(job.asked["webhook"]))
        place = int(job.place.get("place", cursor_at(int(job.asked["since"]))))
        # What comes after the job was asked for is sent in any case.
        until = int(cursor_at(job.created_at))
        page = await asyncio.to_thread(
            self._stream.of_tenant, place, _PAGE, job.tenant_id, kinds_of(endpoint.types)
        )
        wanted = [one for one in page.events if one.position <= until]
        rows = [
            Waiting(key=one.key, type=one.type, at=one.at, due_at=0, body=one.body)
            for one in wanted
        ]
        taken = await self._webhooks.replay(scope, endpoint.id, rows) if rows else 0
        done = job.done + taken
        if taken < len(wanted):
            await asyncio.sleep(0 if taken else _PATIENCE)
            going_on = wanted[taken - 1].position if taken else place
            return Step(place={"place": going_on}, done=done)
        if page.more and page.place < until:
            return Step(place={"place": page.place}, done=done)
        return Step(place={"place": page.place}, done=done, result={"replayed": done})
