"""Trials: try an endpoint out now, and replay an event, for somebody who waits for the answer."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from appliance.core import clock, ids
from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.webhooks import rules, signing
from appliance.webhooks.model import TEST, Delivery, Outcome, Waiting
from appliance.webhooks.payload import origin_of, test_body, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.history import EventRecord, LogReader
    from appliance.webhooks.client import WebhookClient
    from appliance.webhooks.model import Endpoint
    from appliance.webhooks.service import Webhooks
    from appliance.webhooks.store import SenderStore


class Trials:
    """What people do by hand with an endpoint."""

    def __init__(
        self,
        webhooks: Webhooks,
        store: SenderStore,
        client: WebhookClient,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._webhooks, self._store, self._client, self._now = webhooks, store, client, now

    async def test(self, scope: Scope, webhook_id: int) -> Delivery:
        """Send a `webhook.test` now, to a disabled endpoint too; what the receiver said."""
        endpoint = await self._webhooks.get(scope, webhook_id)
        signer = await self._store.signer(webhook_id)
        if not signer.keys:
            raise ConflictError("its secret cannot be read any more: rotate it")
        at = self._now()
        name = f"msg_test-{secrets.token_hex(8)}-{webhook_id}"
        body = test_body(webhook_id, at)
        headers = signing.headers(signer.keys_at(at), name, at, body)
        answer = await self._client.post(rules.target_of(endpoint.url), headers, body)
        made = Delivery(
            webhook_id=webhook_id,
            tenant_id=endpoint.tenant_id,
            event=name,
            type=TEST,
            message_id=0,
            at=at,
            attempt=1,
            outcome=rules.outcome_of(answer.status) if answer.status else Outcome.FAILED,
            status=answer.status,
            took=answer.took,
            answer=answer.text,
        )
        await self._webhooks.note_delivery(scope, made)
        return made

    async def replay(self, scope: Scope, log: LogReader, webhook_id: int, event_id: str) -> str:
        """Send one event of the endpoint's tenant again; its webhook-id. Raises NotFoundError."""
        endpoint = await self._webhooks.get(scope, webhook_id)
        event = await asyncio.to_thread(_find, log, endpoint, event_id)
        accepted = await asyncio.to_thread(log.acceptances, [event.message_id])
        sent = told(event, origin_of(accepted.get(event.message_id, {})))
        row = Waiting(key=sent.key, type=sent.type, at=sent.at, due_at=0, body=sent.body)
        if not await self._webhooks.replay(scope, webhook_id, [row]):
            raise UsageError("too much waits for this endpoint already: try again later")
        return signing.event_name(sent.key, webhook_id)


def _find(log: LogReader, endpoint: Endpoint, event_id: str) -> EventRecord:
    """An event by its name in the log, or by the webhook-id it was sent with."""
    message = log.show(Scope.tenant(endpoint.tenant_id), _message_of(event_id))
    for event in message.events:
        name = signing.event_name(told(event, origin_of({})).key, endpoint.id)
        if event_id in (event.id, name):
            return event
    raise NotFoundError(f"the log has no event {event_id[:80]}", field="event")


def _message_of(event_id: str) -> int:
    text = event_id.removeprefix("msg_").replace("-", ".")
    message = text.partition(".")[0]
    try:
        return ids.from_text(message)
    except ValueError as error:
        raise UsageError(
            f"{event_id[:80]!r} names no event: it looks as 05p3k8r2m0001.0.17", field="event"
        ) from error
