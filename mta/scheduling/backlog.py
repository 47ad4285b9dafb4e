"""Backlog: who waits at rest, by (tenant, class, domain), and which key is due next; pure.

Only a summary is in memory (a key, when its first recipient is due, how far it was read); the
recipients themselves are in the store and are read in pages when there is room. A slow destination,
a paused tenant or a cold address therefore holds up nobody else: its keys are parked at the place
they wait for. A place that opens lets some keys go at a time, in fair order, so that little room for
many keys costs little.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mta.scheduling.fair import FairQueue
from mta.spool.store import Cursor, QueueKey
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mta.scheduling.blocked import Blocked, Place
    from mta.spool.store import Waiting

KEY_LIMIT = 500
"""Recipients of one key that may be ready in memory at once."""

KEYS_A_TURN = 256
"""Keys that a place lets go at once; the next ones a TURN later, unless it has been closed again."""

TURN = 50

WAKES = 1000
"""Keys of a class that become due at one look at the clock: a million never hold up the mail."""

START: Final = Cursor()


@dataclass(slots=True)
class KeyState:
    """What is known of a key."""

    key: QueueKey
    due_at: int = 0  # 0: nothing known to be waiting at rest
    cursor: Cursor = START
    in_memory: int = 0
    queued: bool = False  # stands in the fair queue of keys that are due
    parked: _Place | None = None  # what keeps it back
    was: Blocked | None = None  # what kept it back until now: it is being looked at again
    reading: bool = False  # a page of it is being read
    noted: int = 0  # earliest due time noted while a page was being read
    again: bool = False  # asked to read from the start while a page was being read
    passed_over: bool = False  # some of what was read was left where it is, until `rewind`


class _Place:
    """Keys that wait for one thing."""

    __slots__ = ("blocked", "keys", "size", "until")

    def __init__(self, blocked: Blocked) -> None:
        self.blocked, self.until = blocked, blocked.until
        self.keys: FairQueue[KeyState] = FairQueue()
        self.size = 0  # keys that still wait here; the queue may hold others that have left


class Backlog:
    """All keys of a shard."""

    def __init__(self, weight_of: Callable[[int], int]) -> None:
        self._weight_of = weight_of
        self._keys: dict[QueueKey, KeyState] = {}
        # One for each class: what is transactional never waits behind bulk that is due earlier.
        self._heaps: dict[str, list[tuple[int, QueueKey]]] = {str(c): [] for c in TrafficClass}
        self._ready: FairQueue[KeyState] = FairQueue()
        self._places: dict[Place, _Place] = {}
        self._openings: list[tuple[int, int, _Place]] = []
        self._tick = 0

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, waiting: Iterable[Waiting], now: int) -> None:
        """Take over what the store found at start; what is due already takes no turn of the clock."""
        for key, _, due_at in waiting:
            if due_at > now or key in self._keys:
                self.note(key, due_at)
            else:
                state = self._state(key)
                state.due_at = due_at
                self._queue(state)

    def note(self, key: QueueKey, due_at: int) -> None:
        """Something waits at rest under `key` and is due at `due_at`."""
        state = self._state(key)
        if state.reading:  # the page may be older than this news: look again afterwards
            state.noted = min(state.noted, due_at) if state.noted else due_at
            return
        if due_at <= state.cursor.due_at:  # it became durable behind what was read
            state.cursor = START
        if state.due_at and state.due_at <= due_at:
            return
        state.due_at = due_at
        self._expect(state)

    def rewind(self, key: QueueKey, due_at: int) -> None:
        """Something under `key` is due out of order (released, put back): read from the start."""
        state = self._state(key)
        state.cursor, state.again, state.passed_over = START, state.reading, False
        self.note(key, due_at)

    def pass_over(self, key: QueueKey) -> None:
        """Some that were read may not go, though the others under `key` may: read on behind them."""
        self._state(key).passed_over = True

    def wake(self, now: int) -> None:
        """Open the places whose time has come; move keys that became due into the fair queue.

        Not all at once: while there are more, `next_due` is in the past.
        """
        while self._openings and self._openings[0][0] <= now:
            until, _, place = heapq.heappop(self._openings)
            if place.until == until and self._places.get(place.blocked.place) is place:
                self._let_some_go(place, now)
        for heap in self._heaps.values():
            for _ in range(WAKES):
                if not heap or heap[0][0] > now:
                    break
                due_at, key = heapq.heappop(heap)
                state = self._keys.get(key)
                if state is not None and state.due_at == due_at:
                    self._queue(state)

    @property
    def has_ready(self) -> bool:
        """Whether keys are due that nobody has looked at yet."""
        return len(self._ready) > 0

    def next_due(self) -> int | None:
        """When the next key becomes due or the next place opens; None when neither will."""
        heads = [heap[0][0] for heap in self._heaps.values() if heap]
        heads += [opening[0] for opening in self._openings[:1]]
        return min(heads, default=None)

    def has_due(self, now: int) -> bool:
        """Whether a turn would find something: a key that is due, or a place that opens."""
        if self.has_ready:
            return True
        due = self.next_due()
        return due is not None and due <= now

    def pop(self) -> KeyState | None:
        """A key to read a page of; the caller must answer with `page_read`."""
        while (state := self._ready.pop()) is not None:
            state.queued = False
            if state.parked is not None or state.in_memory >= KEY_LIMIT or state.reading:
                state.was = None
                continue
            state.reading = True
            return state
        return None

    def page_read(self, state: KeyState, cursor: Cursor | None, later: int) -> None:
        """A page ended at `cursor` with more behind it, or was the last: the rest is due `later`."""
        noted, again = self._read(state)
        if cursor is not None:
            missed = again or 0 < noted <= cursor.due_at
            state.cursor = START if missed else cursor
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
            if not state.passed_over:
                state.cursor = START  # nothing of it is in memory: read from the start again
        if state.due_at and was_full and state.in_memory < KEY_LIMIT // 2:
            self._queue(state)
        self._forget_if_empty(state)

    def park(self, key: QueueKey, blocked: Blocked) -> None:
        """Keep the key back until its place opens."""
        place = self._places.get(blocked.place)
        if place is None:
            place = self._places[blocked.place] = _Place(blocked)
            self._expect_opening(place)
        elif blocked.until != place.until:
            place.blocked, place.until = blocked, blocked.until
            self._expect_opening(place)
        state = self._state(key)
        if state.parked is place:
            return
        self._leave(state)
        state.parked, state.was = place, None
        place.size += 1
        weight = self._weight_of(key.tenant_id)
        place.keys.push(state, key.tenant_id, TrafficClass(key.traffic_class), weight)

    def open(self, wanted: Callable[[Place], bool], now: int) -> None:
        """What is waited for at these places may have come: the next `wake` lets some keys go."""
        for name in [name for name in self._places if wanted(name)]:
            self.open_place(name, now)

    def open_place(self, name: Place, now: int) -> None:
        """As `open`, for one place."""
        place = self._places.get(name)
        if place is not None and not 0 < place.until <= now:
            place.until = now
            self._expect_opening(place)

    def places(self) -> list[tuple[Blocked, int]]:
        """What is waited for, and how many keys wait for it."""
        return [(place.blocked, place.size) for place in self._places.values() if place.size]

    def blocked(self, key: QueueKey) -> Blocked | None:
        """What keeps a key back; while it is looked at again, what kept it back before."""
        state = self._keys.get(key)
        if state is None:
            return None
        return state.was if state.parked is None else state.parked.blocked

    def state_of(self, key: QueueKey) -> KeyState | None:
        """What is known of a key."""
        return self._keys.get(key)

    def _state(self, key: QueueKey) -> KeyState:
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = KeyState(key)
        return state

    def _let_some_go(self, place: _Place, now: int) -> None:
        for _ in range(KEYS_A_TURN):
            state = place.keys.pop()
            while state is not None and state.parked is not place:
                state = place.keys.pop()  # it left by another way
            if state is None:
                break
            self._leave(state)
            if state.due_at:
                state.was = place.blocked
                self._expect(state)
            self._forget_if_empty(state)
        if place.size:
            place.until = now + TURN
            self._expect_opening(place)
        else:
            self._places.pop(place.blocked.place, None)

    def _leave(self, state: KeyState) -> None:
        place, state.parked = state.parked, None
        if place is None:
            return
        place.size -= 1
        if not place.size and not place.until:
            self._places.pop(place.blocked.place, None)

    def _expect_opening(self, place: _Place) -> None:
        if place.until:
            self._tick += 1
            heapq.heappush(self._openings, (place.until, self._tick, place))

    def _expect(self, state: KeyState) -> None:
        heapq.heappush(self._heaps[state.key.traffic_class], (state.due_at, state.key))

    def _read(self, state: KeyState) -> tuple[int, bool]:
        """The page has come back; what was noted meanwhile."""
        noted, again = state.noted, state.again
        state.reading, state.noted, state.again, state.was = False, 0, False, None
        return noted, again

    def _queue(self, state: KeyState) -> None:
        if state.queued or state.parked is not None:
            return
        state.queued = True
        key = state.key
        weight = self._weight_of(key.tenant_id)
        self._ready.push(state, key.tenant_id, TrafficClass(key.traffic_class), weight)

    def _forget_if_empty(self, state: KeyState) -> None:
        if not (
            state.due_at or state.in_memory or state.queued or state.reading or state.passed_over
        ):
            self._leave(state)
            self._keys.pop(state.key, None)
