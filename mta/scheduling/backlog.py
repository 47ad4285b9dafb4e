"""Backlog: who waits at rest, by (tenant, class, domain), and which key is due next; pure.

Only a summary is in memory (a key, when its first recipient is due, how far it was read); the
recipients themselves are in the store and are read in pages when there is room. A slow destination,
a paused tenant or a cold address therefore holds up nobody else: its key is parked.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mta.scheduling.fair import FairQueue
from mta.spool.store import Cursor, QueueKey
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mta.spool.store import Waiting

KEY_LIMIT = 500
"""Recipients of one key that may be ready in memory at once."""


@dataclass(slots=True)
class KeyState:
    """What is known of a key."""

    key: QueueKey
    due_at: int = 0  # 0: nothing known to be waiting at rest
    cursor: Cursor = field(default_factory=Cursor)
    in_memory: int = 0
    queued: bool = False  # stands in the fair queue of keys that are due
    parked: bool = False  # a pause or a full lane keeps it back
    reading: bool = False  # a page of it is being read
    noted: int = 0  # earliest due time noted while a page was being read
    again: bool = False  # asked to read from the start while a page was being read


class Backlog:
    """All keys of a shard."""

    def __init__(self, weight_of: Callable[[int], int]) -> None:
        self._weight_of = weight_of
        self._keys: dict[QueueKey, KeyState] = {}
        self._heap: list[tuple[int, int, QueueKey]] = []
        self._ready: FairQueue[KeyState] = FairQueue()
        self._tick = 0

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, waiting: Iterable[Waiting]) -> None:
        """Take over what the store found at start."""
        for entry in waiting:
            self.note(entry.key, entry.due_at)

    def note(self, key: QueueKey, due_at: int) -> None:
        """Something waits at rest under `key` and is due at `due_at`."""
        state = self._state(key)
        if state.reading:  # the page may be older than this news: look again afterwards
            state.noted = min(state.noted, due_at) if state.noted else due_at
            return
        if due_at <= state.cursor.due_at:  # it became durable behind what was read
            state.cursor = Cursor()
        if state.due_at and state.due_at <= due_at:
            return
        state.due_at = due_at
        self._expect(state)

    def rewind(self, key: QueueKey, due_at: int) -> None:
        """Something under `key` is due out of order (released, put back): read from the start."""
        state = self._state(key)
        state.cursor, state.again = Cursor(), state.reading
        self.note(key, due_at)

    def wake(self, now: int) -> None:
        """Move keys that became due into the fair queue."""
        while self._heap and self._heap[0][0] <= now:
            due_at, _, key = heapq.heappop(self._heap)
            state = self._keys.get(key)
            if state is not None and state.due_at == due_at:
                self._queue(state)

    def next_due(self) -> int | None:
        """When the next key becomes due; None when none waits."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> KeyState | None:
        """A key to read a page of; the caller must answer with `page_read`."""
        while (state := self._ready.pop()) is not None:
            state.queued = False
            if state.parked or state.in_memory >= KEY_LIMIT or state.reading:
                continue
            state.reading = True
            return state
        return None

    def page_read(self, state: KeyState, cursor: Cursor | None, later: int) -> None:
        """A page ended at `cursor` with more behind it, or was the last: the rest is due `later`."""
        noted, again = self._read(state)
        if cursor is not None:
            missed = again or 0 < noted <= cursor.due_at
            state.cursor = Cursor() if missed else cursor
            self._queue(state)
            return
        state.due_at = 0
        if later:
            self.note(state.key, later)
        if noted:
            self.note(state.key, noted)
        self._forget_if_empty(state)

    def not_read(self, state: KeyState) -> None:
        """The page could not be read: it is asked for again."""
        noted, _ = self._read(state)
        if noted:
            self.note(state.key, noted)
        self._queue(state)

    def took(self, key: QueueKey, count: int) -> None:
        """`count` recipients of the key are in memory now."""
        self._state(key).in_memory += count

    def released(self, key: QueueKey, count: int) -> None:
        """`count` recipients of the key left memory (settled or put back)."""
        state = self._state(key)
        was_full = state.in_memory >= KEY_LIMIT // 2
        state.in_memory -= count
        if state.in_memory <= 0:
            state.in_memory = 0
            state.cursor = Cursor()  # nothing of it is in memory: read from the start again
        if state.due_at and was_full and state.in_memory < KEY_LIMIT // 2:
            self._queue(state)
        self._forget_if_empty(state)

    def park(self, key: QueueKey) -> None:
        """Keep the key back until `unpark`."""
        self._state(key).parked = True

    def unpark(self, wanted: Callable[[QueueKey], bool]) -> None:
        """Let parked keys that match go on; the next `wake` finds them."""
        for state in self._keys.values():
            if state.parked and wanted(state.key):
                state.parked = False
                if state.due_at:
                    self._expect(state)  # `wake` dropped it while it was parked

    def state_of(self, key: QueueKey) -> KeyState | None:
        """What is known of a key."""
        return self._keys.get(key)

    def parked(self) -> list[QueueKey]:
        """Keys that are kept back."""
        return [state.key for state in self._keys.values() if state.parked]

    def _state(self, key: QueueKey) -> KeyState:
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = KeyState(key)
        return state

    def _expect(self, state: KeyState) -> None:
        self._tick += 1
        heapq.heappush(self._heap, (state.due_at, self._tick, state.key))

    def _read(self, state: KeyState) -> tuple[int, bool]:
        """The page has come back; what was noted meanwhile."""
        noted, again = state.noted, state.again
        state.reading, state.noted, state.again = False, 0, False
        return noted, again

    def _queue(self, state: KeyState) -> None:
        if state.queued or state.parked:
            return
        state.queued = True
        key = state.key
        weight = self._weight_of(key.tenant_id)
        self._ready.push(state, key.tenant_id, TrafficClass(key.traffic_class), weight)

    def _forget_if_empty(self, state: KeyState) -> None:
        if not (state.due_at or state.in_memory or state.queued or state.parked or state.reading):
            self._keys.pop(state.key, None)
