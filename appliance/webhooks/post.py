"""Post: attempts, several lanes at once, and what follows from each.

Not more than MAX_OPEN requests are under way, of one lane not more than it may (appliance/webhooks/lane.py).
What is to be written down of it is collected in `changes` until the sender saves it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.log import fields
from appliance.webhooks import rules, signing
from appliance.webhooks.model import Delivery, Gone, Outcome, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appliance.core.metrics import Metrics
    from appliance.core.settings import Webhooks as Settings
    from appliance.webhooks.client import Answer, WebhookClient
    from appliance.webhooks.lane import Item, Lane
    from appliance.webhooks.store import SenderStore

MAX_OPEN: Final = 400
"""Requests under way at once, of all lanes."""

_PATIENCE: Final = 3  # failures in a row that a receiver is forgiven before it is left alone
_AFTER_CRASH: Final = 5 * clock.SECOND
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Changes:
    """What is to be saved, each with the id of its endpoint."""

    new: list[tuple[int, Waiting]] = field(default_factory=list)
    changed: list[tuple[int, Waiting]] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def add(self, webhook_id: int, item: Item, *, given_up_at: int = 0) -> None:
        """An event as it stands."""
        row = item.as_waiting(given_up_at=given_up_at)
        (self.changed if item.is_stored else self.new).append((webhook_id, row))
        item.is_stored, item.is_changed = True, False


class Post:
    """Sends what lanes have."""

    def __init__(
        self,
        *,
        store: SenderStore,
        client: WebhookClient,
        settings: Settings,
        metrics: Metrics,
        roll: Callable[[], float],
    ) -> None:
        self._store, self._client = store, client
        self._settings, self._metrics, self._roll = settings, metrics, roll
        self._work: set[asyncio.Task[None]] = set()
        self._line: dict[Lane, None] = {}  # lanes that may have something to send, in turn
        self._is_closing = False
        self.changes = Changes()

    def go_on(self, lanes: Iterable[Lane]) -> None:
        """Start what may go, of each lane one after the other."""
        now = clock.now_ms()
        self._line |= dict.fromkeys(lanes)
        while self._line and len(self._work) < MAX_OPEN and not self._is_closing:
            lane = next(iter(self._line))
            del self._line[lane]
            item = lane.start(now)
            if item is None:
                continue
            self._line[lane] = None  # behind the others
            task = tasks.spawn(self._tell(lane, item), name=f"webhook {lane.id}")
            self._work.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self.go_on(())

    async def close(self, grace: float) -> None:
        """Let what is under way end for a while."""
        self._is_closing = True
        if self._work:
            await asyncio.wait(self._work, timeout=grace)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._client.close()

    def tidy(self) -> None:
        """Hang up where nothing has been said for a while."""
        self._client.tidy()

    def take_changes(self) -> Changes:
        """What came since the last time."""
        taken, self.changes = self.changes, Changes()
        return taken

    async def _tell(self, lane: Lane, item: Item) -> None:
        """One attempt, and what follows from it."""
        try:
            body = item.body or await self._store.body(lane.id, item.key)
            if body is None:  # a person has dropped it meanwhile
                lane.settled(item)
            else:
                await self._attempt(lane, item, body)
        finally:
            if item.is_under_way:  # it crashed, or the box stops
                lane.put_off(item, clock.now_ms() + _AFTER_CRASH)
            self._line.setdefault(lane)

    async def _attempt(self, lane: Lane, item: Item, body: bytes) -> None:
        signer, at = lane.signer, clock.now_ms()
        name = signing.event_name(item.key, lane.id)
        headers = signing.headers(signer.keys_at(at), name, at, body)
        answer = await self._client.post(rules.target_of(signer.endpoint.url), headers, body)
        outcome = rules.outcome_of(answer.status) if answer.status else Outcome.FAILED
        item.attempts += 1
        item.first_at = item.first_at or at
        self._note(lane, item, outcome, answer)
        if outcome is Outcome.TAKEN:
            lane.taken(clock.now_ms())
            self._settle(lane, item)
        elif outcome is Outcome.GONE:
            lane.put_off(item, clock.now_ms())
            await self._disable(lane, "it answered 410 Gone")
        elif not await self._has_ended(lane, item):
            self._try_later(lane, item, outcome, answer)

    def _note(self, lane: Lane, item: Item, outcome: Outcome, answer: Answer) -> None:
        self._metrics.webhook_deliveries.inc(outcome)
        made = Delivery(
            webhook_id=lane.id,
            tenant_id=lane.signer.endpoint.tenant_id,
            event=signing.event_name(item.key, lane.id),
            type=item.type,
            message_id=item.key.message_id,
            at=clock.now_ms(),
            attempt=item.attempts,
            outcome=outcome,
            status=answer.status,
            took=answer.took,
            answer=answer.text,
        )
        self.changes.deliveries.append(made)

    def _settle(self, lane: Lane, item: Item) -> None:
        if item.is_asked_again:
            lane.again(item, clock.now_ms())
            return
        lane.settled(item)
        if item.is_stored:
            self.changes.gone.append(Gone(lane.id, item.key, item.started_at))

    def _try_later(self, lane: Lane, item: Item, outcome: Outcome, answer: Answer) -> None:
        now = clock.now_ms()
        asked = rules.retry_after_ms(answer.retry_after)
        wait = rules.wait_ms(self._settings.retry, item.attempts, self._roll())
        lane.put_off(item, now + max(wait, asked))
        if outcome is Outcome.FAILED:
            lane.failed(now, now + max(asked, self._rest(lane.failures + 1)))

    def _rest(self, failures: int) -> int:
        """How long a receiver that fails is left alone."""
        if failures < _PATIENCE:
            return 0
        return rules.wait_ms(self._settings.retry, failures - _PATIENCE + 1, self._roll())

    async def _has_ended(self, lane: Lane, item: Item) -> bool:
        """Give up what was tried for as long as is tried: the event, or its receiver."""
        now = clock.now_ms()
        too_long = now - int(self._settings.give_up_after * clock.SECOND)
        since = min(item.first_at, lane.failing_since or item.first_at)
        if since > too_long:
            return False
        if lane.taken_at < since and not await self._store.was_taken_since(lane.id, since):
            lane.put_off(item, now)
            hours = self._settings.give_up_after / 3600
            await self._disable(lane, f"it has taken nothing for {hours:g} hours")
            return True
        if item.first_at > too_long:
            lane.failing_since = 0  # it was well in between
            return False
        self.changes.add(lane.id, item, given_up_at=now)
        lane.settled(item)
        name = signing.event_name(item.key, lane.id)
        _log.warning("webhook %d never took %s: given up", lane.id, name)
        return True

    async def _disable(self, lane: Lane, reason: str) -> None:
        now = clock.now_ms()
        lane.failed(now, now + clock.HOUR)  # nothing more goes, whatever the store says now
        if await self._store.disable(lane.signer, reason):
            about = fields(webhook=lane.id, tenant=lane.signer.endpoint.tenant_id)
            _log.warning("webhook %d is disabled: %s", lane.id, reason, extra=about)
