"""What an mta process answers on its socket: queue questions, outbox, hand-over of work, health.

Nobody else writes a spool: the worker, inbound, the API and the command line ask its owner here and
get their answer after its commit. Shapes are plain tables, so that `--json` can print them as they are.

    health, metrics                     beat and Prometheus text of this process
    shards                              the shards it owns
    overview                            what goes on this moment (appliance/run/overview.py)
    live, minutes                       how fast mail comes and goes (appliance/run/live.py)
    queue_summary {by, limit, tenant_id, kind}
                                        what waits, counted by domain, reason, site, provider, egress, tenant
    queue_list {filter, after, limit}   waiting and held recipients, keyset-paged
    queue_look {filter, after, limit, slices}   the same, of a bounded part of the queue: rows, and after
    queue_show {id}                     a message with its recipients, content headers and events
    queue_act {shard, action, filter, by, pool, after, upto}
                                        retry | hold | release | reroute | cancel, for about a second;
                                        answers how much was done, and where the next turn begins
    submit {submission}                 a submission handed over (idempotency keys, notices)
    submit_many {tenant, credential, address, at, letters}
                                        composed letters of one sender; an id or a reply for each
    original {id}                       a message with its recipients and the bytes that are kept of it
    late {message_id, n, kind, data}    news of a recipient that is final: bounce, complaint
    outbox_read {shard, after, limit}   events for the log
    outbox_ack {shard, upto}            the log has them
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from appliance.core import clock, ids
from appliance.core.errors import StoreError, StoreFullError
from appliance.core.metrics import render
from appliance.run.gauges import show_queue, show_regulation
from appliance.run.handover import submission_of, submissions_of
from appliance.run.live import live_handlers
from appliance.run.overview import Overview
from appliance.run.queue_rpc import delivery_of, queue_handlers
from mta.policy.refusal import Refused
from mta.spool.batch import Event
from mta.status import EventKind

if TYPE_CHECKING:
    from appliance.run.mta import Mta
    from mta.intake import Intake
    from mta.message import Submission

Handler = Callable[[Any], Awaitable[Any]]


def handlers_of(mta: Mta, intake: Intake) -> dict[str, Handler]:
    """The methods by name."""
    return {
        "health": mta.health.answer,
        "metrics": _metrics(mta),
        "shards": _shards(mta),
        "overview": Overview(mta).answer,
        **live_handlers(mta),
        **queue_handlers(mta),
        "submit": _submit(mta, intake),
        "submit_many": _submit_many(mta, intake),
        "original": _original(mta),
        "late": _late(mta),
        "outbox_read": _outbox_read(mta),
        "outbox_ack": _outbox_ack(mta),
    }


def _metrics(mta: Mta) -> Handler:
    async def metrics(_: object) -> bytes:
        now = clock.now_ms()
        await show_queue(mta.metrics, (each.operations.census for each in mta.deliveries), now)
        show_regulation(mta.metrics, mta.regulator, now)
        return render(mta.metrics.registry)

    return metrics


def _shards(mta: Mta) -> Handler:
    async def shards(_: object) -> list[int]:
        return [delivery.shard.number for delivery in mta.deliveries]

    return shards


def _submit(mta: Mta, intake: Intake) -> Handler:
    async def submit(payload: dict[str, Any]) -> dict[str, Any]:
        try:
            directory = await mta.current.with_sender(int(payload["credential"]))
            return {"id": await intake.accept(submission_of(payload, directory))}
        except Refused as error:
            reply = error.reply
            mta.metrics.refused.inc(reply.status)
            return {"refused": [reply.code, reply.enhanced, reply.text]}

    return submit


def _submit_many(mta: Mta, intake: Intake) -> Handler:
    async def taken(submission: Submission) -> list[Any]:
        try:
            return [await intake.accept(submission), len(submission.recipients)]
        except Refused as error:
            reply = error.reply
            mta.metrics.refused.inc(reply.status)
            return [0, reply.code, reply.enhanced, reply.text]
        except StoreFullError as error:
            return [0, 452, "4.3.1", str(error)]
        except StoreError as error:
            return [0, 451, "4.3.0", str(error)]

    async def submit_many(payload: dict[str, Any]) -> list[list[Any]]:
        try:
            directory = await mta.current.with_sender(int(payload["credential"]))
            submissions = submissions_of(payload, directory, clock.now_ms())
        except Refused as error:
            reply = error.reply
            return [[0, reply.code, reply.enhanced, reply.text]] * len(payload["letters"])
        return await asyncio.gather(*map(taken, submissions))

    return submit_many


def _original(mta: Mta) -> Handler:
    async def original(payload: dict[str, Any]) -> dict[str, Any]:
        message_id = int(payload["id"])
        delivery = delivery_of(mta, ids.shard_of(message_id))
        shown = await delivery.operations.show(message_id)
        content = await delivery.shard.call(lambda store, _: store.content(message_id))
        names = ("tenant_id", "envelope_from", "smtputf8", "body_8bit", "traffic_class", "tags")
        return {
            **{name: getattr(shown.message, name) for name in (*names, "metadata")},
            "recipients": [[one.n, one.address, one.status] for one in shown.recipients],
            "content": content,  # None: not kept
        }

    return original


def _late(mta: Mta) -> Handler:
    async def late(payload: dict[str, Any]) -> None:
        message_id = int(payload["message_id"])
        event = Event(
            message_id=message_id,
            n=int(payload["n"]),
            kind=EventKind(payload["kind"]),
            at=clock.now_ms(),
            data=dict(payload["data"]),
        )
        shard = delivery_of(mta, ids.shard_of(message_id)).shard
        await shard.call(lambda _, batch: batch.add_event(event))

    return late


def _outbox_read(mta: Mta) -> Handler:
    async def read(payload: dict[str, Any]) -> list[list[Any]]:
        shard = delivery_of(mta, int(payload["shard"])).shard
        after, limit = int(payload["after"]), int(payload["limit"])
        rows = await shard.call(lambda store, _: store.events(after, limit))
        return [[r.seq, r.message_id, r.n, r.kind, r.at, r.data] for r in rows]

    return read


def _outbox_ack(mta: Mta) -> Handler:
    async def acknowledge(payload: dict[str, Any]) -> None:
        shard = delivery_of(mta, int(payload["shard"])).shard
        upto = int(payload["upto"])
        await shard.call(lambda store, _: store.acknowledge(upto))

    return acknowledge
