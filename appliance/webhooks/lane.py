"""Lane: what one endpoint has not taken yet, and what may go to it now; pure.

Events of one message go one after the other, in their order; those of other messages pass them by. A lane
holds WINDOW events at most; further ones stay in the log until there is room. How many go at once
rises with what is taken, and is one while the receiver fails: then the whole lane rests, longer and longer,
and a single event tries the door. Time is passed in, in ms.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.webhooks.model import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.webhooks.model import Key, Signer, Told

WINDOW: Final = 256
AT_ONCE: Final = 8
_FIRST: Final = 2


@dataclass(slots=True, kw_only=True, eq=False)
class Item:
    """An event that waits or is under way."""

    key: Key
    type: str
    at: int
    body: bytes | None  # None: it stands in the store only
    due_at: int = 0
    attempts: int = 0
    first_at: int = 0
    started_at: int = 0  # of the last attempt
    is_under_way: bool = False
    is_asked_again: bool = False  # a person wants it once more than what is under way
    is_stored: bool = False  # a row of it stands, or is being written
    is_changed: bool = False  # the row does not say what is said here

    def as_waiting(self, given_up_at: int = 0) -> Waiting:
        """As it is stored."""
        return Waiting(
            key=self.key,
            type=self.type,
            at=self.at,
            due_at=self.due_at,
            body=self.body,
            attempts=self.attempts,
            first_at=self.first_at,
            given_up_at=given_up_at,
        )


class Lane:
    """One endpoint's."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.items: dict[Key, Item] = {}
        self.in_flight = 0
        self.failures = 0  # of the receiver, in a row
        self.failing_since = 0  # the first of them; 0 = none
        self.rest_until = 0
        self.taken_at = 0
        self.is_over = False  # the endpoint is disabled or gone: nothing more is sent
        self.at_once = _FIRST
        self._messages: dict[int, deque[Item]] = {}
        self._ready: deque[int] = deque()  # messages whose first event may go
        self._due: list[tuple[int, int]] = []  # (when, message) whose first event waits

    @property
    def id(self) -> int:
        """The endpoint's."""
        return self.signer.endpoint.id

    @property
    def room(self) -> int:
        """How many events it would take."""
        return WINDOW - len(self.items)

    @property
    def oldest_at(self) -> int:
        """When the oldest of what waits happened; 0 without any."""
        return min((item.at for item in self.items.values()), default=0)

    def wants(self, told: Told) -> bool:
        """Whether the endpoint has chosen such an event, and does not have this one."""
        return told.type in self.signer.endpoint.types and told.key not in self.items

    def take(self, told: Told) -> None:
        """An event from the stream."""
        self._add(Item(key=told.key, type=told.type, at=told.at, body=told.body))

    def restore(self, row: Waiting) -> None:
        """An event that stands in the store. What is known already is tried at once, if the row says so.

        What is under way goes again when the row became due after that attempt began.
        """
        known = self.items.get(row.key)
        if known is not None:
            self._hurry(known, row)
            return
        item = Item(key=row.key, type=row.type, at=row.at, body=None, due_at=row.due_at)
        item.attempts, item.first_at, item.is_stored = row.attempts, row.first_at, True
        if row.first_at:  # perhaps it has been well since: whoever gives up asks the store
            self.failing_since = min(self.failing_since or row.first_at, row.first_at)
        self._add(item)

    def _hurry(self, item: Item, row: Waiting) -> None:
        item.is_stored = True
        if item.is_under_way and row.due_at > item.started_at:
            item.is_asked_again = True
        if row.due_at >= item.due_at:
            return
        item.due_at, item.attempts, item.first_at = row.due_at, row.attempts, row.first_at
        if self._messages[item.key.message_id][0] is item and not item.is_under_way:
            heapq.heappush(self._due, (item.due_at, item.key.message_id))

    def _add(self, item: Item) -> None:
        self.items[item.key] = item
        queue = self._messages.get(item.key.message_id)
        if queue is None:
            self._messages[item.key.message_id] = deque((item,))
            self._schedule(item)
        else:
            queue.append(item)

    def _schedule(self, item: Item) -> None:
        if item.due_at:
            heapq.heappush(self._due, (item.due_at, item.key.message_id))
        else:
            self._ready.append(item.key.message_id)

    # -- what goes -------------------------------------------------------------

    def start(self, now: int) -> Item | None:
        """The event that goes next, if one may; it is then under way."""
        if self.is_over or self.in_flight >= self.at_once or now < self.rest_until:
            return None
        while self._due and self._due[0][0] <= now:
            self._ready.append(heapq.heappop(self._due)[1])
        while self._ready:
            item = self._first(self._ready.popleft(), now)
            if item is not None:
                item.is_under_way, item.started_at = True, now
                self.in_flight += 1
                return item
        return None

    def _first(self, message_id: int, now: int) -> Item | None:
        """A message's first event, unless it was settled, or goes, or was put off meanwhile."""
        queue = self._messages.get(message_id)
        if not queue or queue[0].due_at > now or queue[0].is_under_way:
            return None
        return queue[0]

    def settled(self, item: Item) -> None:
        """It is over for this event: taken, or given up."""
        self.in_flight -= 1
        item.is_under_way = False
        del self.items[item.key]
        queue = self._messages[item.key.message_id]
        queue.popleft()
        if queue:
            self._schedule(queue[0])
        else:
            del self._messages[item.key.message_id]

    def again(self, item: Item, now: int) -> None:
        """It was taken, and goes once more."""
        item.is_asked_again, item.attempts, item.first_at = False, 0, 0
        self.put_off(item, now)

    def taken(self, now: int) -> None:
        """The receiver is well."""
        self.failures, self.failing_since, self.rest_until, self.taken_at = 0, 0, 0, now
        self.at_once = min(self.at_once + 1, AT_ONCE)

    def put_off(self, item: Item, due_at: int) -> None:
        """It was not taken and goes again then."""
        self.in_flight -= 1
        item.is_under_way = False
        item.due_at, item.is_changed = due_at, True
        self._schedule(item)

    def failed(self, now: int, rest_until: int) -> None:
        """The receiver is not well."""
        self.failures += 1
        self.failing_since = self.failing_since or now
        self.at_once = 1
        self.rest_until = max(self.rest_until, rest_until)

    def wake(self) -> None:
        """A person has asked: try at once."""
        self.rest_until = 0

    # -- what is stored --------------------------------------------------------

    def unsaved(self) -> Iterator[Item]:
        """Events without a row, or whose row says something else."""
        return (one for one in self.items.values() if one.is_changed or not one.is_stored)

    def forget_bodies(self, later: int) -> None:
        """Of what stands in the store and will not go before then."""
        is_resting = self.rest_until > later
        for item in self.items.values():
            if item.is_stored and (is_resting or item.due_at > later):
                item.body = None
