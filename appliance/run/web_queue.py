"""BoxQueue: the queue as the web sees it (admin_ui.desks.QueueDesk), asked of its owners over their sockets.

A tenant's scope is written into every filter here, in one place, so that no route can forget it; a
message of somebody else is not found. What concerns much mail is a job (appliance/run/queue_job.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError
from appliance.core.scope import BOX
from appliance.run.explain import together
from appliance.run.live import live_of, traffic_of
from appliance.run.queue_job import TIMEOUT, order
from appliance.run.queue_look import Look, one_look
from appliance.run.queue_summary import merged
from mta.scheduling.census import By

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.core.scope import Scope
    from appliance.jobs import Job, Jobs
    from appliance.run.shard_owners import ShardOwners
    from mta.scheduling.changes import Action
    from mta.scheduling.why import Why

PATIENCE: Final = 5.0
"""Seconds: a page that shows what waits does without it rather than wait for a process that hangs."""
EXPLAINS: Final = 15.0
"""Seconds: DNS is asked meanwhile."""
COUNTS: Final = ("changed", "being_sent", "ready")
SLICES: Final = 4
"""Of 1,000 to 5,000 recipients (mta.spool.questions), 10 to 20 ms each: what a page may take."""

_NONE: Final = "no such message waits in the queue"

Row = dict[str, Any]
Place = tuple[int, int]


class BoxQueue:
    """All mta processes of the box, as if they were one."""

    def __init__(self, owners: ShardOwners, jobs: Jobs) -> None:
        self._owners, self._jobs = owners, jobs

    async def summary(self, scope: Scope, by: By, limit: int, kind: Why | None = None) -> Row:
        """What waits, counted, the fullest group first; `kind`: only groups whose oldest waits for it."""
        asked: Row = {"by": by.value, "limit": limit, "tenant_id": scope.tenant_id or BOX}
        asked |= {} if kind is None else {"kind": kind.value}
        found = merged(await self._owners.everybody("queue_summary", asked, PATIENCE))
        return found | {"groups": found["groups"][:limit]}

    async def live(self, scope: Scope) -> Row:
        """How fast mail goes now. A tenant learns what of its own is due, nothing of the box (None)."""
        if scope.is_system:
            return live_of(await self._owners.everybody("live", None, PATIENCE))
        found = await self.summary(scope, By.DOMAIN, 1)
        box = dict.fromkeys(("accepted_per_s", "leaving_per_s", "connections"))
        return {**box, "due_next_hour": found["due_soon"]}

    async def traffic(self) -> list[Row]:
        """The box's last two hours, by the minute, as far as all its processes remember."""
        return traffic_of(await self._owners.everybody("minutes", None, PATIENCE))

    async def recipients(
        self, scope: Scope, wanted: Mapping[str, object], after: Place, limit: int
    ) -> list[Row]:
        """Waiting and held recipients that match, behind a place, oldest message first."""
        asked = {"filter": narrowed(scope, wanted), "after": list(after), "limit": limit}
        answers = await self._owners.everybody("queue_list", asked, PATIENCE)
        rows = [row for answer in answers for row in answer]
        return sorted(rows, key=lambda row: (row["message_id"], row["n"]))[:limit]

    async def look(
        self,
        scope: Scope,
        wanted: Mapping[str, object],
        after: Place,
        limit: int,
        slices: int = SLICES,
    ) -> Look:
        """The same among the next slices of each shard; where the next look begins, None at the end."""
        asked = {"filter": narrowed(scope, wanted), "after": list(after), "limit": limit}
        answers = await self._owners.everybody("queue_look", asked | {"slices": slices}, PATIENCE)
        return one_look([Look(one["rows"], one["after"]) for one in answers], limit)

    async def show(self, scope: Scope, message_id: int) -> Row:
        """A message in the queue with its recipients and events. Raises NotFoundError."""
        shard = await self._shard_of(message_id)
        shown: Row = await self._owners.call(shard, "queue_show", {"id": message_id}, PATIENCE)
        if not scope.is_system and shown["message"]["tenant_id"] != scope.tenant_id:
            raise NotFoundError(_NONE)
        return shown

    async def act(
        self, scope: Scope, message_id: int, action: Action, pool: str = ""
    ) -> dict[str, int]:
        """Do it to one message; how many recipients it changed. Raises NotFoundError."""
        shown = await self.show(scope, message_id)
        payload: Row = {
            "shard": ids.shard_of(message_id),
            "action": action.value,
            "filter": {"message_id": message_id, "tenant_id": shown["message"]["tenant_id"]},
            "by": scope.by,
            "pool": pool,
        }
        counts = dict.fromkeys(COUNTS, 0)
        while True:
            done = await self._owners.call(payload["shard"], "queue_act", payload, TIMEOUT)
            counts = {name: counts[name] + done[name] for name in COUNTS}
            if done["after"] is None:
                return counts
            payload |= {"after": done["after"], "upto": done["upto"]}

    async def order(
        self,
        scope: Scope,
        action: Action,
        wanted: Mapping[str, object],
        pool: str = "",
        parts: Sequence[Mapping[str, object]] = (),
    ) -> Job:
        """Have it done to all that match, as one job; `parts`: to what matches one of these too."""
        own = [narrowed(scope, one) for one in parts]
        asked = order(action, narrowed(scope, wanted), pool, scope.tenant_id or BOX, own)
        return await self._jobs.order(scope, asked)

    async def explain(self, domain: str) -> Row:
        """How mail to a domain goes."""
        asked = {"domain": domain}
        return together(await self._owners.everybody("shaping_explain", asked, EXPLAINS))

    async def _shard_of(self, message_id: int) -> int:
        shard = ids.shard_of(message_id)
        if shard not in await self._owners.shards():
            raise NotFoundError(_NONE)
        return shard


def narrowed(scope: Scope, wanted: Mapping[str, object]) -> Row:
    """The filter, and whoever is no admin means their own mail alone."""
    if scope.tenant_id is None:
        return dict(wanted)
    return {**wanted, "tenant_id": scope.tenant_id}
