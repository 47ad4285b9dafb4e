"""Sender: reads the stream of events once for everybody and tells each endpoint what it has chosen.

    read a page -> hand it to the lanes -> POST (post.py) -> what came of it, saved in batches

Promises: at least once, and in the order of a message, whatever dies when: the place in the stream is saved
together with every event up to there that was not taken yet. A lane that is full (its receiver is slow or
dead) is left behind; it reads on by itself, from the log, once it has room. So memory is bounded by
lanes x WINDOW, and nobody waits for anybody: a lane that fails tries a single event at a time.
StoreError passes: the loop rests and comes back, and nothing is read until what stands was saved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.history.writer import POSITION_BITS
from appliance.webhooks.lane import WINDOW, Lane
from appliance.webhooks.store import Batch
from appliance.webhooks.stream import kinds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.core.metrics import Metrics
    from appliance.webhooks.model import Signer, Told
    from appliance.webhooks.post import Post
    from appliance.webhooks.store import SenderStore
    from appliance.webhooks.stream import Page, Stream
    from mta.status import EventKind

PAGE: Final = 500
_BEHIND_AT_ONCE: Final = 16  # lanes that are read for by themselves in one turn
_SAVE_EVERY: Final = 500  # ms
_KEPT_BODY: Final = 2000  # ms an event may wait before its body is left to the store


class Sender:
    """The one sender of a box."""

    def __init__(self, *, store: SenderStore, stream: Stream, post: Post, metrics: Metrics) -> None:
        self._store, self._stream, self._post, self._metrics = store, stream, post, metrics
        self._lanes: dict[int, Lane] = {}
        self._of_tenant: dict[int, list[Lane]] = {}
        self._kinds: frozenset[EventKind] = frozenset()  # that anybody has chosen; none = all
        self._busy: dict[int, Lane] = {}  # those with events
        self._place = 0  # up to where all lanes but those in `_own` have been handed their events
        self._own: dict[int, int] = {}  # lanes that are elsewhere, and where; disabled ones too
        self._behind: deque[int] = deque()  # those of them that read by themselves
        self._stored: dict[int, int] = {}  # places that stand in the store
        self._unsaved: Batch | None = None
        self._saved_place = self._saved_at = 0
        self._generation = -1
        self._versions: Mapping[int, int] = {}

    # -- the loop --------------------------------------------------------------

    async def step(self) -> bool:
        """One turn: what has changed, what is to be saved, a page for everybody, pages for those behind."""
        await self._refresh()
        if clock.now_ms() - self._saved_at >= _SAVE_EVERY:
            await self._save()
        more = await self._read_for_all()
        more = await self._read_for_those_behind() or more
        self._post.tidy()
        self._post.go_on(list(self._busy.values()))
        self._show()
        return more

    async def close(self, grace: float = 3.0) -> None:
        """Let what is under way end for a while, and save what was not taken."""
        await self._post.close(grace)
        if self._generation >= 0:
            await self._save()

    # -- endpoints -------------------------------------------------------------

    async def _refresh(self) -> None:
        """Take in what people have changed, and what they want to be sent again."""
        generation = await self._store.generation()
        if generation == self._generation:
            return
        # In this order: an endpoint that is made in between is seen the next time, with its place.
        versions = await self._store.versions()
        stored = await self._store.cursors()
        if self._generation < 0:
            await self._begin(stored)
        for deleted in self._versions.keys() - versions.keys():
            self._drop(deleted)
        changed = [one for one, version in versions.items() if self._versions.get(one) != version]
        for signer in await self._store.signers(changed):
            if signer.endpoint.is_enabled and not signer.keys:
                await self._store.disable(signer, "its secret cannot be read any more")
                continue
            self._take_in(signer, stored.get(signer.endpoint.id, 0))
        await self._save()  # what retired lanes still had
        async for one, row in self._store.waiting([one for one in changed if one in self._lanes]):
            self._lanes[one].restore(row)
            self._busy[one] = self._lanes[one]
        self._versions, self._generation = versions, generation
        self._of_tenant = {}
        for lane in self._lanes.values():
            self._of_tenant.setdefault(lane.signer.endpoint.tenant_id, []).append(lane)
        types = {one for lane in self._lanes.values() for one in lane.signer.endpoint.types}
        self._kinds = kinds_of(types)

    async def _begin(self, stored: Mapping[int, int]) -> None:
        self._place = self._saved_place = stored.get(0, 0)
        if not self._place:
            self._place = await asyncio.to_thread(self._stream.end)

    def _take_in(self, signer: Signer, stored: int) -> None:
        """An endpoint that is new or was changed; `stored` is its own place, 0 if it has none."""
        one = signer.endpoint
        lane = self._lanes.get(one.id)
        if (
            lane is not None
            and one.is_enabled
            and lane.signer.endpoint.enabled_at == one.enabled_at
        ):
            lane.signer = signer
            lane.wake()
            return
        place = self._place_of(signer, stored)
        if lane is not None:
            for item in lane.items.values():
                self._post.changes.add(one.id, item)
        self._drop(one.id)
        if one.is_enabled:
            self._lanes[one.id] = Lane(signer)
        if place:
            self._own[one.id] = place
            if one.is_enabled:
                self._behind.append(one.id)
        if stored:
            self._stored[one.id] = stored

    def _place_of(self, signer: Signer, stored: int) -> int:
        """Where a lane begins, or stays while it is disabled; 0 = with the others.

        Of two places the later one: who enables an endpoint may have it begin with what comes.
        """
        one = signer.endpoint
        if one.id in self._own:
            return max(self._own[one.id], stored)
        if one.id in self._lanes:
            return max(self._place, stored)
        return stored or (0 if one.is_enabled else self._place)

    def _drop(self, webhook_id: int) -> None:
        lane = self._lanes.pop(webhook_id, None)
        if lane is not None:
            lane.is_over = True
        self._busy.pop(webhook_id, None)
        self._own.pop(webhook_id, None)
        self._stored.pop(webhook_id, None)
        if webhook_id in self._behind:
            self._behind.remove(webhook_id)

    # -- reading ---------------------------------------------------------------

    async def _read_for_all(self) -> bool:
        behind = set(self._behind)
        if len(behind) == len(self._lanes):
            return False
        page = await asyncio.to_thread(
            self._stream.everybody, self._place, PAGE, self._of_tenant.keys(), self._kinds
        )
        for told in page.events:
            self._hand_out(told, behind)
        self._place = page.place
        for one in [one for one, place in self._own.items() if self._has_joined(one, place)]:
            del self._own[one]
        return page.more

    def _has_joined(self, webhook_id: int, place: int) -> bool:
        """Whether a lane that was ahead of the others is no longer."""
        is_with_us = webhook_id in self._lanes and webhook_id not in self._behind
        return is_with_us and place <= self._place

    def _hand_out(self, told: Told, behind: set[int]) -> None:
        for lane in self._of_tenant.get(told.tenant_id, ()):
            if lane.id in behind or told.position <= self._own.get(lane.id, 0):
                continue
            if not lane.wants(told):
                continue
            if lane.room <= 0:
                self._own[lane.id] = told.position - 1
                self._behind.append(lane.id)
                behind.add(lane.id)
                continue
            lane.take(told)
            self._busy[lane.id] = lane

    async def _read_for_those_behind(self) -> bool:
        """A page for some of those that have room."""
        more = False
        for _ in range(min(len(self._behind), _BEHIND_AT_ONCE)):
            lane = self._lanes[self._behind[0]]
            self._behind.rotate(-1)
            if lane.room < WINDOW // 2:
                continue
            one = lane.signer.endpoint
            page = await asyncio.to_thread(
                self._stream.of_tenant,
                self._own[one.id],
                lane.room,
                one.tenant_id,
                kinds_of(one.types),
            )
            self._catch_up(lane, page)
            more = more or page.more
        return more

    def _catch_up(self, lane: Lane, page: Page) -> None:
        for told in page.events:
            if lane.wants(told):
                lane.take(told)
                self._busy[lane.id] = lane
        self._own[lane.id] = page.place
        if page.more:
            return
        self._behind.remove(lane.id)
        if len(self._behind) + 1 == len(self._lanes):  # it is the only one that is not behind
            self._place = max(self._place, page.place)

    # -- saving ----------------------------------------------------------------

    async def _save(self) -> None:
        """Write down how far everything is; what could not be written comes first the next time."""
        if self._unsaved is None:
            self._unsaved = self._batch()
        if not self._unsaved.is_empty or self._unsaved.progress != self._saved_place:
            await self._store.save(self._unsaved)
        batch, self._unsaved = self._unsaved, None
        self._saved_at, self._saved_place = clock.now_ms(), batch.progress
        self._stored |= batch.cursors
        for one in batch.rejoined:
            self._stored.pop(one, None)
        self._leave_to_the_store()

    def _batch(self) -> Batch:
        changes = self._post.changes
        for lane in self._busy.values():
            for item in lane.unsaved():
                changes.add(lane.id, item)
        self._post.take_changes()
        return Batch(
            progress=self._place,
            cursors={one: at for one, at in self._own.items() if self._stored.get(one) != at},
            rejoined=[one for one in self._stored if one not in self._own],
            new=changes.new,
            changed=changes.changed,
            gone=changes.gone,
            deliveries=changes.deliveries,
        )

    def _leave_to_the_store(self) -> None:
        """What waits for long needs no body in memory; lanes without anything need no look."""
        later = clock.now_ms() + _KEPT_BODY
        for lane in self._busy.values():
            lane.forget_bodies(later)
        self._busy = {one: lane for one, lane in self._busy.items() if lane.items}

    # -- what others see -------------------------------------------------------

    def _show(self) -> None:
        now = clock.now_ms()
        oldest = [lane.oldest_at for lane in self._busy.values() if lane.items]
        oldest += [self._own[one] >> POSITION_BITS for one in self._behind]
        lag = max(0, now - min(oldest, default=now)) / clock.SECOND
        self._metrics.webhook_lag.set(lag)
        waiting = sum(len(lane.items) for lane in self._busy.values())
        self._metrics.webhook_waiting.set(waiting)
