"""What an mta process answers on its socket: queue questions, outbox, hand-over of work, health.

Nobody else writes a spool: the worker, inbound, the API and the command line ask its owner here and
get their answer after its commit. Shapes are plain tables, so that `--json` can print them as they are.

    health, metrics                     beat and Prometheus text of this process
    shards                              the shards it owns
    queue_summary {limit}               counts by domain
    queue_list {filter, after, limit}   waiting and held recipients, keyset-paged
    queue_show {id}                     a message with its recipients, content headers and events
    queue_act {action, filter, by}      retry | hold | release | cancel
    submit {submission}                 a submission handed over (idempotency keys, notices)
    late {message_id, n, kind, data}    news of a recipient that is final: bounce, complaint
    outbox_read {shard, after, limit}   events for the log
    outbox_ack {shard, upto}            the log has them
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from appliance.core import clock, ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.metrics import render
from appliance.run.handover import submission_of
from mta.scheduling.operations import Action
from mta.spool.batch import Event
from mta.spool.questions import QueueFilter
from mta.status import EventKind

if TYPE_CHECKING:
    from appliance.run.delivery import Delivery
    from appliance.run.mta import Mta
    from mta.intake import Intake
    from mta.message import Message, Recipient
    from mta.scheduling.operations import Operations
    from mta.spool.questions import Destination

Handler = Callable[[Any], Awaitable[Any]]
_FILTERS = ("message_id", "n", "tenant_id", "credential_id", "domain", "address", "status")


def handlers_of(mta: Mta, intake: Intake) -> dict[str, Handler]:
    """The methods by name."""
    return {
        "health": mta.health.answer,
        "metrics": _metrics(mta),
        "shards": _shards(mta),
        "queue_summary": _queue_summary(mta),
        "queue_list": _queue_list(mta),
        "queue_show": _queue_show(mta),
        "queue_act": _queue_act(mta),
        "submit": _submit(mta, intake),
        "late": _late(mta),
        "outbox_read": _outbox_read(mta),
        "outbox_ack": _outbox_ack(mta),
    }


def _metrics(mta: Mta) -> Handler:
    async def metrics(_: object) -> bytes:
        return render(mta.metrics.registry)

    return metrics


def _shards(mta: Mta) -> Handler:
    async def shards(_: object) -> list[int]:
        return [delivery.shard.number for delivery in mta.deliveries]

    return shards


def _queue_summary(mta: Mta) -> Handler:
    async def summary(payload: dict[str, Any]) -> list[dict[str, Any]]:
        limit = int(payload.get("limit", 100))
        rows: list[dict[str, Any]] = []
        for delivery in mta.deliveries:
            rows += [_destination(d) for d in await delivery.operations.destinations(limit)]
        return rows

    return summary


def _queue_list(mta: Mta) -> Handler:
    async def listing(payload: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _filter(payload.get("filter", {}))
        after = tuple(payload.get("after") or (-1, -1))
        limit = int(payload.get("limit", 100))
        rows: list[dict[str, Any]] = []
        for delivery in mta.deliveries:
            operations = delivery.operations
            found = await operations.find(wanted, (int(after[0]), int(after[1])), limit)
            rows += [_recipient(operations, recipient) for recipient in found]
        rows.sort(key=lambda row: (row["message_id"], row["n"]))
        return rows[:limit]

    return listing


def _queue_show(mta: Mta) -> Handler:
    async def show(payload: dict[str, Any]) -> dict[str, Any]:
        message_id = int(payload["id"])
        operations = _delivery(mta, ids.shard_of(message_id)).operations
        shown = await operations.show(message_id)
        return {
            "message": _message(shown.message),
            "recipients": [_recipient(operations, r) for r in shown.recipients],
            "events": [[e.seq, e.n, e.kind, e.at, e.data] for e in shown.events],
        }

    return show


def _queue_act(mta: Mta) -> Handler:
    async def act(payload: dict[str, Any]) -> dict[str, int]:
        wanted = _filter(payload.get("filter", {}))
        action = Action(payload["action"])
        changed = being_sent = 0
        for delivery in mta.deliveries:
            if wanted.message_id and ids.shard_of(wanted.message_id) != delivery.shard.number:
                continue
            done = await delivery.operations.act(action, wanted, by=str(payload["by"]))
            changed, being_sent = changed + done.changed, being_sent + done.being_sent
        return {"changed": changed, "being_sent": being_sent}

    return act


def _submit(mta: Mta, intake: Intake) -> Handler:
    async def submit(payload: dict[str, Any]) -> dict[str, Any]:
        from mta.policy.refusal import Refused  # noqa: PLC0415 - kept beside its one use

        try:
            return {"id": await intake.accept(submission_of(payload, mta.current()))}
        except Refused as error:
            reply = error.reply
            mta.metrics.refused.inc(reply.status)
            return {"refused": [reply.code, reply.enhanced, reply.text]}

    return submit


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
        shard = _delivery(mta, ids.shard_of(message_id)).shard
        await shard.call(lambda _, batch: batch.add_event(event))

    return late


def _outbox_read(mta: Mta) -> Handler:
    async def read(payload: dict[str, Any]) -> list[list[Any]]:
        shard = _delivery(mta, int(payload["shard"])).shard
        after, limit = int(payload["after"]), int(payload["limit"])
        rows = await shard.call(lambda store, _: store.events(after, limit))
        return [[r.seq, r.message_id, r.n, r.kind, r.at, r.data] for r in rows]

    return read


def _outbox_ack(mta: Mta) -> Handler:
    async def acknowledge(payload: dict[str, Any]) -> None:
        shard = _delivery(mta, int(payload["shard"])).shard
        upto = int(payload["upto"])
        await shard.call(lambda store, _: store.acknowledge(upto))

    return acknowledge


def _delivery(mta: Mta, number: int) -> Delivery:
    for delivery in mta.deliveries:
        if delivery.shard.number == number:
            return delivery
    raise NotFoundError(f"shard {number} is not owned by {mta.context.name}")


def _filter(given: dict[str, Any]) -> QueueFilter:
    unknown = sorted(set(given) - set(_FILTERS))
    if unknown:
        raise UsageError(f"the queue has no filter {', '.join(unknown)}: use {', '.join(_FILTERS)}")
    return QueueFilter(**given)


def _destination(found: Destination) -> dict[str, Any]:
    return {
        "domain": found.domain,
        "status": found.status,
        "count": found.count,
        "oldest": found.oldest,
        "next": found.next_due,
        "reason": found.reason,
    }


def _recipient(operations: Operations, recipient: Recipient) -> dict[str, Any]:
    status, reason = operations.standing(recipient)
    return {
        "id": ids.to_text(recipient.message_id),
        "message_id": recipient.message_id,
        "n": recipient.n,
        "tenant_id": recipient.tenant_id,
        "class": recipient.traffic_class,
        "address": recipient.address,
        "domain": recipient.domain,
        "status": status,
        "reason": reason,
        "next": 0 if recipient.status.is_final else recipient.due_at,
        "expires": recipient.expires_at,
        "attempts": recipient.attempts,
        "host": recipient.last_host,
        "egress": recipient.last_egress,
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": ids.to_text(message.id),
        "tenant_id": message.tenant_id,
        "credential_id": message.credential_id,
        "class": message.traffic_class,
        "sender": message.envelope_from,
        "from": message.header_from,
        "message_id": message.message_id,
        "subject": message.subject,
        "size": message.size,
        "accepted_at": message.accepted_at,
        "client": message.client,
        "tags": message.tags,
        "metadata": message.metadata,
        "signing_domain": message.signing_domain,
    }
