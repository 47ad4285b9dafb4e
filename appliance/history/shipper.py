"""Shipper: carries events from the shards' outboxes into the log, and to whom they concern.

    read -> consumers (idempotent) -> log (durable) -> acknowledge

The order is the promise: an event leaves the spool only when everybody who acts on it has, and when
it is in the log; after a crash the same batch comes again and changes nothing twice. One event that
nobody can digest is set aside and reported, and those behind it go on. A shard that does not answer
holds up no other. StoreError passes: the loop rests and comes back, nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from appliance.core import tasks
from appliance.core.errors import NotRunningError, StoreError, UsageError
from appliance.core.log import fields
from appliance.history.model import LoggedEvent, OutboxRow, Rejected
from appliance.history.read_outbox import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.core.rpc import RpcClient
    from appliance.history.writer import LogWriter

BATCH: Final = 8000
"""Events of one transaction at most: where many wait, news of one recipient are folded into one update."""

_PAGE: Final = 1000  # the thread that commits mail reads them: it must not be kept for long
SILENT_TURNS: Final = 10
"""Turns without an answer before a silent owner is worth a line: a restart takes less."""

_TIMEOUT: Final = 15.0
_log = logging.getLogger(__name__)


class OutboxSource(Protocol):
    """One shard's outbox."""

    @property
    def shard(self) -> int:
        """The shard's number."""

    async def read(self, limit: int) -> list[OutboxRow]:
        """The oldest events that were not acknowledged, in order."""

    async def acknowledge(self, upto: int) -> None:
        """The log has everything up to this number."""


class EventConsumer(Protocol):
    """Somebody who acts on events. Told the same event again, it must do nothing."""

    @property
    def name(self) -> str:
        """For the log's words."""

    async def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Act. Raises StoreError when it cannot now: the batch comes again."""


class RpcOutbox:
    """An outbox over its owner's socket."""

    def __init__(self, client: RpcClient, shard: int) -> None:
        self.shard = shard
        self._client = client

    async def read(self, limit: int) -> list[OutboxRow]:
        """Always from the beginning: what was acknowledged is gone, and a restored spool counts anew."""
        rows: list[OutboxRow] = []
        while wanted := min(_PAGE, limit - len(rows)):
            page = await self._page(rows[-1].seq if rows else 0, wanted)
            rows += page
            if len(page) < wanted:
                break
        return rows

    async def _page(self, after: int, limit: int) -> list[OutboxRow]:
        asked = {"shard": self.shard, "after": after, "limit": limit}
        answer: Any = await self._client.call("outbox_read", asked, _TIMEOUT)
        try:
            return msgspec.convert(answer, list[OutboxRow])
        except msgspec.ValidationError as error:
            raise UsageError(
                f"shard {self.shard} answers outbox_read strangely: {error}"
            ) from error

    async def acknowledge(self, upto: int) -> None:
        """Let the owner forget."""
        await self._client.call("outbox_ack", {"shard": self.shard, "upto": upto}, _TIMEOUT)


class Shipper:
    """The worker's shipping loop; `step` is one turn of it."""

    def __init__(
        self,
        sources: Sequence[OutboxSource],
        log: LogWriter,
        consumers: Sequence[EventConsumer] = (),
        *,
        batch: int = BATCH,
    ) -> None:
        self._sources, self._log, self._consumers = sources, log, consumers
        self._batch = batch
        self._silent: Counter[int] = Counter()

    async def step(self) -> bool:
        """Ship a batch of each shard; True when one of them has more. One that fails holds up no other."""
        more, failed = False, None
        for source in self._sources:
            try:
                more = await self._try(source) or more
            except StoreError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return more

    async def _try(self, source: OutboxSource) -> bool:
        try:
            more = await self._ship(source)
        except NotRunningError as error:
            self._silent[source.shard] += 1
            if self._silent[source.shard] == SILENT_TURNS:  # not at every restart of an owner
                _log.warning("events wait: %s", error, extra=fields(shard=source.shard))
            return False
        self._silent.pop(source.shard, None)
        return more

    async def _ship(self, source: OutboxSource) -> bool:
        rows = await source.read(self._batch)
        if not rows:
            return False
        events, rejected = await self._read(source.shard, rows)
        for consumer in self._consumers:
            rejected += await self._consume(consumer, events)
        await asyncio.to_thread(self._log.write, source.shard, events, rejected)
        await source.acknowledge(rows[-1].seq)
        return len(rows) >= self._batch

    async def _read(
        self, shard: int, rows: list[OutboxRow]
    ) -> tuple[list[LoggedEvent], list[Rejected]]:
        """Read in turns with what else this process does."""
        events: list[LoggedEvent] = []
        rejected: list[Rejected] = []
        for start in range(0, len(rows), _PAGE):
            good, bad = read(shard, rows[start : start + _PAGE], self._log.today)
            events += good
            rejected += bad
            await asyncio.sleep(0)
        return events, rejected

    async def _consume(
        self, consumer: EventConsumer, events: Sequence[LoggedEvent]
    ) -> list[Rejected]:
        """Hand events over; those that crash the consumer, found by halving, are set aside."""
        if not events:
            return []
        outcome = await tasks.guard(_apply(consumer, events), name=f"events for {consumer.name}")
        if isinstance(outcome, StoreError | NotRunningError):
            raise outcome
        if outcome is not None:
            return []
        if len(events) == 1:
            return [_refused(consumer, events[0])]
        middle = len(events) // 2
        first = await self._consume(consumer, events[:middle])
        return first + await self._consume(consumer, events[middle:])


async def _apply(
    consumer: EventConsumer, events: Sequence[LoggedEvent]
) -> bool | StoreError | NotRunningError:
    """True when done; the error as a value when it is only a matter of time."""
    try:
        await consumer.apply(events)
    except (StoreError, NotRunningError) as error:
        return error
    return True


def _refused(consumer: EventConsumer, event: LoggedEvent) -> Rejected:
    row = OutboxRow(event.seq, event.message_id, event.n, event.kind.value, event.at, event.data)
    problem = f"{consumer.name} failed on it; the error is in the worker's log"
    return Rejected(shard=event.shard, row=row, problem=problem)
