"""Queue action as a job: retry, hold, release, reroute or cancel all mail that matches, a second's turn a step.

What is asked may name several parts (destinations, say), which are done one after another as one job.
A turn that is done twice after a crash changes nothing the second time. While the owner of a shard does
not answer, the job waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.errors import NotRunningError
from appliance.core.scope import BOX
from appliance.jobs import Order, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.jobs import Job
    from appliance.run.shard_owners import ShardOwners
    from mta.scheduling.changes import Action

KIND: Final = "queue-action"
TIMEOUT: Final = 120.0
"""Among a million recipients the first that match may be far away."""

EXPECTED: Final = "expected"
_PATIENCE: Final = 1.0  # seconds, while an owner is silent


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it goes on; `shards` is None at the beginning of a part."""

    part: int = 0  # of `parts` that were asked
    shards: list[int] | None = None
    after: list[int] | None = None
    upto: int = 0
    changed: int = 0
    being_sent: int = 0
    ready: int = 0


def order(
    action: Action,
    wanted: Mapping[str, object],
    pool: str,
    tenant_id: int,
    parts: Sequence[Mapping[str, object]] = (),
) -> Order:
    """Do it to all that match, and one of `parts` too if there are any; with a tenant, to its mail alone.

    A part may say how many recipients are `expected` to match it, so that the job can tell how far it is.
    """
    asked: dict[str, Any] = {"action": action.value, "filter": dict(wanted), "pool": pool}
    if parts:
        asked["parts"] = [_without(one, EXPECTED) for one in parts]
        asked[EXPECTED] = sum(int(str(one.get(EXPECTED, 0))) for one in parts)
    return Order(kind=KIND, tenant_id=tenant_id, asked=asked)


def _without(part: Mapping[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in part.items() if key != name}


class QueueAction:
    """How it is done (appliance.run.job_runner.Kind)."""

    def __init__(self, owners: ShardOwners) -> None:
        self._owners = owners

    async def step(self, job: Job) -> Step:
        """The next turn, on one shard."""
        place = msgspec.convert(job.place, _Place)
        try:
            return _step(job, await self._turn(job, place))
        except NotRunningError:
            await asyncio.sleep(_PATIENCE)
            return Step(place=job.place, done=job.done, total=job.total)

    async def _turn(self, job: Job, place: _Place) -> _Place:
        shards = await self._owners.shards() if place.shards is None else place.shards
        if not shards:
            return _next_part(job, msgspec.structs.replace(place, shards=[]))
        done = await self._owners.call(
            shards[0], "queue_act", _payload(job, place, shards), TIMEOUT
        )
        is_over = done["after"] is None
        found = _Place(
            part=place.part,
            shards=shards[1:] if is_over else shards,
            after=None if is_over else list(done["after"]),
            upto=0 if is_over else done["upto"],
            changed=place.changed + done["changed"],
            being_sent=place.being_sent + done["being_sent"],
            ready=place.ready + done["ready"],
        )
        return _next_part(job, found)


def _next_part(job: Job, place: _Place) -> _Place:
    """Where the next part begins, once all shards of one are gone through."""
    is_last = place.part + 1 >= len(job.asked.get("parts", ()))
    if place.shards or is_last:
        return place
    return msgspec.structs.replace(place, part=place.part + 1, shards=None)


def _payload(job: Job, place: _Place, shards: list[int]) -> dict[str, Any]:
    parts = job.asked.get("parts", ())
    wanted = {**job.asked["filter"], **(parts[place.part] if parts else {})}
    if job.tenant_id != BOX:
        wanted["tenant_id"] = job.tenant_id
    return {
        "shard": shards[0],
        "action": job.asked["action"],
        "filter": wanted,
        "pool": job.asked["pool"],
        "by": job.by,
        "after": place.after,
        "upto": place.upto,
    }


def _step(job: Job, place: _Place) -> Step:
    """What is there when it is done is the whole; until then it is what was expected, or more."""
    expected = int(job.asked.get(EXPECTED, 0))
    counts = {name: getattr(place, name) for name in ("changed", "being_sent", "ready")}
    result = None if place.shards != [] else counts
    whole = place.changed if result is not None else max(expected, place.changed)
    return Step(
        place=msgspec.to_builtins(place),
        done=place.changed,
        total=whole if expected else 0,
        result=result,
    )
