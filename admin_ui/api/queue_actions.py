"""People's hands on the queue: retry, hold, release, reroute, cancel.

A message that is named is acted on at once; all that matches a filter, as a job (appliance/run/queue_job.py).
Whoever is no admin moves the own mail alone: the desk writes the tenant into every filter.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.jobs import IMPORT_JOB, JobShape, job_shape
from admin_ui.api.nouns import PLAIN, Ident, Short, Whose, in_field, known_provider, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.queue import Message, State, domain_of, given_of, id_of
from admin_ui.api.shapes import Example
from admin_ui.rooms import Behind, Rooms
from appliance.core.errors import UsageError
from appliance.core.scope import BOX, Scope
from appliance.rights import Right
from mta.scheduling.changes import Action

_COUNTS: Final = {"changed": 1, "being_sent": 0, "ready": 0}
_JOB: Final = IMPORT_JOB | {
    "kind": "queue-action",
    "total": 0,
    "asked": {
        "action": "retry",
        "filter": {"domain": "example.net", "tenant_id": 3},
        "pool": "",
    },
}


class Where(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pool is to send it; only for reroute."""

    pool: Annotated[Short, Meta(description="Empty: the pool that its tenant uses.")] = ""


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """How many recipients of the message it concerned."""

    changed: int
    being_sent: Annotated[int, Meta(description="Left alone: an attempt runs now.")]
    ready: Annotated[int, Meta(description="Left alone: due already.")]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done to all that matches every field given."""

    action: Action
    domain: Short = ""
    address: Annotated[str, Meta(max_length=320, pattern=PLAIN)] = ""
    credential_id: Ident | None = None
    site: Short = ""
    provider: Short = ""
    egress: Short = ""
    tag: Short = ""
    state: State | None = None
    everything: Annotated[
        bool, Meta(description="All that waits, where nothing narrows it down.")
    ] = False
    pool: Short = ""


@post(
    "/queue/messages/{message:str}/{action:str}",
    status_code=200,
    opt={RIGHT: Right.QUEUE_OPERATE, EXAMPLE: Example(_COUNTS, {})},
    tags=["queue"],
    summary="Retry, hold, release, reroute or cancel a message",
)
async def act(
    message: Message,
    action: Annotated[Action, PathParameter()],
    data: JSONBody[Where],
    rooms: Behind,
    asker: WhoAsks,
) -> Acted:
    """All its recipients that wait, at once."""
    scope, number = asker.actor.scope, id_of(message)
    pool = data.pool.strip().lower()
    await _check_pool(rooms, scope, action, pool)
    counts = await rooms.queue.act(scope, number, action, pool)
    return Acted(**counts)


@post(
    "/queue/actions",
    status_code=202,
    opt={
        RIGHT: Right.QUEUE_OPERATE,
        EXAMPLE: Example(_JOB, {"action": "retry", "domain": "example.net"}),
    },
    tags=["queue"],
    summary="Act on all mail that matches",
)
async def act_on_all(
    data: JSONBody[Order], rooms: Behind, asker: WhoAsks, tenant: Whose = ""
) -> JobShape:
    """Retry, hold, release, reroute or cancel, as a job: GET /jobs/{id} shows how far it is."""
    scope = await view_of(rooms, asker, tenant)
    wanted = {
        "domain": domain_of(data.domain),
        "address": data.address,
        "credential_id": data.credential_id or 0,
        "site": data.site.lower(),
        "provider": await known_provider(rooms, data.provider),
        "egress": data.egress,
        "tag": data.tag,
        "status": data.state or "",
    }
    given = given_of(wanted)
    if not given and not data.everything:
        raise UsageError("say which mail is meant: by a filter, or everything", field="everything")
    if data.action is Action.RELEASE:
        given["status"] = "held"
    pool = data.pool.strip().lower()
    await _check_pool(rooms, scope, data.action, pool)
    return job_shape(await rooms.queue.order(scope, data.action, given, pool))


async def _check_pool(rooms: Rooms, scope: Scope, action: Action, pool: str) -> None:
    if action is not Action.REROUTE:
        if pool:
            raise UsageError("only mail that is rerouted gets a pool", field="pool")
    elif pool:
        with in_field("pool"):
            await rooms.pools.usable(scope, pool, scope.tenant_id or BOX)


HANDLERS: Final[list[Any]] = [act, act_on_all]
