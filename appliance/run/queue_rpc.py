"""Queue over RPC: what people ask of the queue of an mta process, and do to it, as plain tables.

An action on a million recipients takes a minute: it goes in turns of about a second, each asked for with
what the one before answered, so that whoever waits sees how far it is and may stop in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.run.queue_look import Look, one_look
from appliance.run.queue_summary import merged, summary_row
from mta.scheduling.census import MOST_ROWS, By
from mta.scheduling.changes import Action
from mta.scheduling.operations import Turn
from mta.scheduling.why import Why
from mta.spool.questions import FIRST, QueueFilter
from mta.status import Status

if TYPE_CHECKING:
    from appliance.run.delivery import Delivery
    from appliance.run.mta import Mta
    from mta.message import Message, Recipient
    from mta.scheduling.operations import Operations

Handler = Callable[[Any], Awaitable[Any]]
TURN_SECONDS: Final = 1.0
FILTERS: Final = frozenset(one.name for one in fields(QueueFilter))


def queue_handlers(mta: Mta) -> dict[str, Handler]:
    """The methods by name."""
    return {
        "queue_summary": _queue_summary(mta),
        "queue_list": _queue_list(mta),
        "queue_look": _queue_look(mta),
        "queue_show": _queue_show(mta),
        "queue_act": _queue_act(mta),
    }


def delivery_of(mta: Mta, number: int) -> Delivery:
    """The delivery of a shard that this process owns."""
    for delivery in mta.deliveries:
        if delivery.shard.number == number:
            return delivery
    raise NotFoundError(f"shard {number} is not owned by {mta.context.name}")


def _queue_summary(mta: Mta) -> Handler:
    async def summary(payload: dict[str, Any]) -> dict[str, Any]:
        by, limit = By(payload.get("by", By.DOMAIN)), int(payload.get("limit", MOST_ROWS))
        tenant_id = int(payload.get("tenant_id", 0))  # 0: of everybody
        kind = Why(payload["kind"]) if payload.get("kind") else None
        found = []
        for delivery in mta.deliveries:
            census = delivery.operations.census
            asked = (
                census.of_tenant(tenant_id, by, limit, kind)
                if tenant_id
                else census.recent(by, limit, kind)
            )
            found.append(summary_row(by, await asked))
        return merged(found)

    return summary


def _queue_list(mta: Mta) -> Handler:
    async def listing(payload: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _filter(payload.get("filter", {}))
        after = tuple(payload.get("after") or FIRST)
        limit = int(payload.get("limit", 100))
        rows: list[dict[str, Any]] = []
        for delivery in mta.deliveries:
            operations = delivery.operations
            found = await operations.find(wanted, (int(after[0]), int(after[1])), limit)
            rows += [_recipient(operations, recipient) for recipient in found]
        rows.sort(key=lambda row: (row["message_id"], row["n"]))
        return rows[:limit]

    return listing


def _queue_look(mta: Mta) -> Handler:
    async def look(payload: dict[str, Any]) -> dict[str, Any]:
        wanted = _filter(payload.get("filter", {}))
        after, limit = tuple(payload.get("after") or FIRST), int(payload["limit"])
        looks: list[Look] = []
        for delivery in mta.deliveries:
            operations = delivery.operations
            start = (int(after[0]), int(after[1]))
            found = await operations.look(wanted, start, limit, int(payload["slices"]))
            rows = [_recipient(operations, recipient) for recipient in found.recipients]
            looks.append(Look(rows, found.after))
        seen = one_look(looks, limit)
        return {"rows": seen.rows, "after": seen.after}

    return look


def _queue_show(mta: Mta) -> Handler:
    async def show(payload: dict[str, Any]) -> dict[str, Any]:
        message_id = int(payload["id"])
        operations = delivery_of(mta, ids.shard_of(message_id)).operations
        shown = await operations.show(message_id)
        return {
            "message": _message(shown.message),
            "recipients": [_recipient(operations, r) for r in shown.recipients],
            "events": [[e.seq, e.n, e.kind, e.at, e.data] for e in shown.events],
        }

    return show


def _queue_act(mta: Mta) -> Handler:
    async def act(payload: dict[str, Any]) -> dict[str, Any]:
        operations = delivery_of(mta, int(payload["shard"])).operations
        done = await operations.act(
            Action(payload["action"]),
            _filter(payload.get("filter", {})),
            by=str(payload["by"]),
            pool=str(payload.get("pool", "")),
            turn=_turn(payload),
        )
        return {
            name: getattr(done, name)
            for name in ("changed", "being_sent", "ready", "after", "upto")
        }

    return act


def _turn(payload: dict[str, Any]) -> Turn:
    """Where the last turn ended; a turn is as long as somebody waits without a word."""
    message_id, n = payload.get("after") or FIRST
    return Turn(after=(message_id, n), upto=int(payload.get("upto", 0)), seconds=TURN_SECONDS)


def _filter(given: dict[str, Any]) -> QueueFilter:
    unknown = sorted(set(given) - FILTERS)
    if unknown:
        raise UsageError(
            f"the queue has no filter {', '.join(unknown)}: use {', '.join(sorted(FILTERS))}"
        )
    return QueueFilter(**given)


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
        "kind": _kind(operations, recipient, status),
        "next": 0 if recipient.status.is_final else recipient.due_at,
        "expires": recipient.expires_at,
        "attempts": recipient.attempts,
        "host": recipient.last_host,
        "egress": recipient.last_egress,
        "pool": recipient.pool,
    }


def _kind(operations: Operations, recipient: Recipient, status: Status) -> str:
    """What it waits for; "" when it waits no more."""
    if status.is_final:
        return ""
    return Why.LEAVING if status is Status.SENDING else operations.census.kind(recipient)


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
