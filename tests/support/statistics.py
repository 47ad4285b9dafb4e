"""Statistics for tests: mail of every kind through the log, and counts beside it on both databases."""

from __future__ import annotations

import random
from collections import Counter as Tallies
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.clock import HOUR, MINUTE
from appliance.history.read_outbox import read
from appliance.statistics import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.database import Location
    from appliance.history import LogWriter
    from tests.support.control import FakeClock
    from tests.support.history import Outbox

ENDS = ("delivered", "bounced", "expired", "suppressed", "cancelled", "corrupt")
PROVIDERS = ("google", "microsoft", "")
TAGS = ((), ("order",), ("order", "spring"), ("x" * 300,))


@pytest.fixture
def statistics_location(log_location: Location, tmp_path: Path) -> Location:
    """Where the counts of `log_location` are."""
    return tmp_path / "statistics.db" if isinstance(log_location, Path) else log_location


@pytest.fixture
def store(statistics_location: Location, now: FakeClock) -> Iterator[Store]:
    made = Store(statistics_location, now)
    made.open()
    yield made
    made.close()


def ship(writer: LogWriter, outbox: Outbox) -> int:
    """All that the outbox has into the log; returns how many events were new."""
    rows = outbox.take()
    events, rejected = read(outbox.shard, rows, writer.today)
    assert not rejected
    return writer.write(outbox.shard, events).kept


class Mail:
    """Mail with random fates, and what there is to count in it."""

    def __init__(self, outbox: Outbox, now: FakeClock, seed: int = 1) -> None:
        self._outbox, self._now = outbox, now
        self._random = random.Random(seed)
        self._waiting: list[tuple[int, int, int, str]] = []
        self._done: list[tuple[int, int, int]] = []
        self.seen: Tallies[str] = Tallies()

    def happen(self, times: int) -> None:
        """So many things."""
        for _ in range(times):
            self._now.move(int(self._random.expovariate(1 / (2 * MINUTE))))
            act = self._random.random()
            if act < 0.35 or not self._waiting:
                self._accept()
            elif act < 0.5:
                self._try(self._random.choice(self._waiting), "deferred")
            elif act < 0.95 or not self._done:
                self._end()
            else:
                self._late()

    def _accept(self) -> None:
        tenant = self._random.choice((1, 1, 2, 3))
        count = self._random.randint(1, 3)
        message_id = self._outbox.accept(
            *(f"u{n}@example.net" for n in range(count)),
            tenant=tenant,
            tags=list(self._random.choice(TAGS)),
            **{
                "class": self._random.choice(("bulk", "transactional")),
                "from": f"Shop@S{self._random.randint(1, 3)}.Example",
            },
        )
        self.seen["accepted"] += count
        self._waiting += [(message_id, n, tenant, "") for n in range(count)]

    def _try(self, one: tuple[int, int, int, str], kind: str, **more: Any) -> None:
        message_id, n, tenant, _ = one
        given = {
            "tenant": tenant,
            "provider": self._random.choice(PROVIDERS),
            "egress": self._random.choice(("out-1", "out-2")),
        }
        self._outbox.tried(message_id, n, kind, "u@example.net", **(given | more))
        self.seen[kind] += 1

    def _end(self) -> None:
        one = self._waiting.pop(self._random.randrange(len(self._waiting)))
        kind = self._random.choice(("delivered", "delivered", *ENDS))
        if kind in ("delivered", "bounced"):
            hard = self._random.random() < 0.5
            self._try(one, kind, hard=hard)
            self.seen["hard"] += hard and kind == "bounced"
        else:
            self._outbox.tell(one[0], one[1], kind, "u@example.net", tenant=one[2])
            self.seen[kind] += 1
        if kind == "delivered":
            self._done.append(one[:3])

    def _late(self) -> None:
        message_id, n, tenant = self._done.pop()
        kind = self._random.choice(("complained", "bounced_late", "unsubscribed", "delayed_late"))
        self._now.move(HOUR)
        self._outbox.tell(message_id, n, kind, "u@example.net", tenant=tenant)
        self.seen[kind] += 1
