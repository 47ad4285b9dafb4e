"""FairQueue: transactional before bulk, tenants by weight, neither starved; pure.

Of five items four are transactional while both classes wait. Inside a class tenants take turns; a
tenant of weight 3 gives three items a turn. Push and pop cost a few dictionary operations however
much waits (deficit round robin with items of equal size: Shreedhar & Varghese, 1995).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

TRANSACTIONAL_SHARE = 4
"""Transactional items for each bulk one while both wait."""


class _Turns(Generic[T]):
    """The tenants of one class."""

    def __init__(self) -> None:
        self.items: dict[int, deque[T]] = {}
        self._order: deque[int] = deque()
        self._weights: dict[int, int] = {}
        self._left = 0
        self.size = 0

    def push(self, item: T, tenant_id: int, weight: int) -> None:
        waiting = self.items.get(tenant_id)
        if waiting is None:
            waiting = self.items[tenant_id] = deque()
            self._order.append(tenant_id)
        self._weights[tenant_id] = max(1, weight)
        waiting.append(item)
        self.size += 1

    def push_first(self, item: T, tenant_id: int) -> None:
        self.push(item, tenant_id, self._weights.get(tenant_id, 1))
        self.items[tenant_id].rotate(1)

    @property
    def first(self) -> T:
        return self.items[self._order[0]][0]

    def pop(self) -> T:
        tenant_id = self._order[0]
        if self._left <= 0:
            self._left = self._weights[tenant_id]
        item = self.items[tenant_id].popleft()
        self.size -= 1
        self._left -= 1
        if not self.items[tenant_id]:
            self._leave(tenant_id)
        elif self._left <= 0:
            self._order.rotate(-1)
        return item

    def _leave(self, tenant_id: int) -> None:
        del self.items[tenant_id], self._weights[tenant_id]
        self._order.popleft()
        self._left = 0

    def take_where(self, unwanted: Callable[[T], bool]) -> list[T]:
        taken: list[T] = []
        for tenant_id in list(self.items):
            kept = deque(item for item in self.items[tenant_id] if not unwanted(item))
            taken += [item for item in self.items[tenant_id] if unwanted(item)]
            if kept:
                self.items[tenant_id] = kept
            else:
                if self._order[0] == tenant_id:
                    self._left = 0  # its turn ends with it; another's goes on
                del self.items[tenant_id], self._weights[tenant_id]
                self._order.remove(tenant_id)
        self.size -= len(taken)
        return taken


class FairQueue(Generic[T]):
    """Items of several tenants in two classes."""

    def __init__(self) -> None:
        self._urgent: _Turns[T] = _Turns()
        self._bulk: _Turns[T] = _Turns()
        self._turns = {TrafficClass.TRANSACTIONAL: self._urgent, TrafficClass.BULK: self._bulk}
        self._streak = 0

    def __len__(self) -> int:
        return self._urgent.size + self._bulk.size

    def __iter__(self) -> Iterator[T]:
        for turns in self._turns.values():
            for items in turns.items.values():
                yield from items

    def count(self, tenant_id: int, traffic_class: TrafficClass) -> int:
        """How many items a tenant has in a class."""
        return len(self._turns[traffic_class].items.get(tenant_id, ()))

    def push(self, item: T, tenant_id: int, traffic_class: TrafficClass, weight: int = 1) -> None:
        """Append behind the tenant's other items of the class."""
        self._turns[traffic_class].push(item, tenant_id, weight)

    def push_first(self, item: T, tenant_id: int, traffic_class: TrafficClass) -> None:
        """Put back in front of the tenant's other items."""
        self._turns[traffic_class].push_first(item, tenant_id)

    @property
    def first(self) -> T | None:
        """What `pop` would return."""
        if self._is_urgent_turn:
            return self._urgent.first
        return self._bulk.first if self._bulk.size else None

    @property
    def _is_urgent_turn(self) -> bool:
        urgent, bulk = self._urgent, self._bulk
        return bool(urgent.size and (not bulk.size or self._streak < TRANSACTIONAL_SHARE))

    def pop(self) -> T | None:
        """The next item whose turn it is; None when nothing waits."""
        urgent, bulk = self._urgent, self._bulk
        if self._is_urgent_turn:
            self._streak = self._streak + 1 if bulk.size else 0
            return urgent.pop()
        self._streak = 0
        return bulk.pop() if bulk.size else None

    def take_where(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Remove and return all items that match; the others keep their order."""
        return [item for turns in self._turns.values() for item in turns.take_where(unwanted)]
