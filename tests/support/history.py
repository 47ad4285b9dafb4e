"""The event log for tests: events as the shards' owners write them, an outbox, and both databases.

Every test that takes `log_location` runs on day files and on PostgreSQL partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from appliance.core.errors import NotRunningError
from appliance.core.ids import IdMaker
from appliance.history import LogReader, LogWriter, OutboxRow, write_partitions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.database import Location
    from tests.support.control import FakeClock

KEEP_DAYS = 30
TENANT = 7


class Outbox:
    """One shard's outbox in memory, an OutboxSource; `down` makes its owner silent."""

    def __init__(self, clock: FakeClock, shard: int = 0) -> None:
        self.shard = shard
        self.rows: list[OutboxRow] = []
        self.down = False
        self.lose_acks = False
        self._clock, self._ids, self._seq = clock, IdMaker(shard), 0

    async def read(self, limit: int) -> list[OutboxRow]:
        if self.down:
            raise NotRunningError(f"mta-{self.shard} does not answer")
        return self.rows[:limit]

    async def acknowledge(self, upto: int) -> None:
        if self.lose_acks:
            raise NotRunningError("killed before the acknowledgement")
        self.rows = [row for row in self.rows if row.seq > upto]

    def take(self) -> list[OutboxRow]:
        """The rows, which are then forgotten."""
        rows, self.rows = self.rows, []
        return rows

    def restart_numbers(self) -> None:
        """As a spool that was restored from an old backup."""
        self._seq = 0

    def add(self, message_id: int, n: int, kind: str, data: dict[str, Any] | bytes) -> OutboxRow:
        self._seq += 1
        octets = data if isinstance(data, bytes) else msgspec.json.encode(data)
        row = OutboxRow(self._seq, message_id, n, kind, self._clock(), octets)
        self.rows.append(row)
        return row

    def accept(self, *addresses: str, tenant: int = TENANT, **more: Any) -> int:
        """A message; returns its id."""
        message_id = self._ids.make(self._clock())
        recipients = [
            [n, address, address.rpartition("@")[2].lower(), "queued"]
            for n, address in enumerate(addresses)
        ]
        data = {
            "tenant": tenant,
            "credential": 3,
            "source": "smtp",
            "class": "transactional",
            "sender": "app@sender.example",
            "from": "Shop@sender.example",
            "message_id": f"<{message_id}@sender.example>",
            "subject": "Your order",
            "size": 4096,
            "client": "192.0.2.9",
            "tags": [],
            "metadata": "",
            "signed": ["s1"],
            "signing_domain": "sender.example",
            "recipients": recipients,
        }
        self.add(message_id, -1, "accepted", data | more)
        return message_id

    def tell(self, message_id: int, n: int, kind: str, to: str, **more: Any) -> OutboxRow:
        """An event about one recipient."""
        return self.add(message_id, n, kind, {"tenant": TENANT, "to": to} | more)

    def tried(self, message_id: int, n: int, kind: str, to: str, **more: Any) -> OutboxRow:
        """The outcome of an attempt."""
        data = {
            "reply": "250 2.0.0 ok",
            "phase": "dot",
            "attempt": 1,
            "host": "mx1.receiver.example",
            "address": "198.51.100.7",
            "egress": "default",
            "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
            "took": 120,
            "steps": [[0, "", "220 hello"], [4, "MAIL FROM:<>", "250 ok"]],
        }
        return self.tell(message_id, n, kind, to, **(data | more))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def log_location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where a fresh log is: a folder, then a PostgreSQL database."""
    if request.param == "sqlite":
        folder = tmp_path / "log"
        folder.mkdir()
        return folder
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def writer(log_location: Location, now: FakeClock) -> Iterator[LogWriter]:
    opened = LogWriter(write_partitions(log_location), keep_days=KEEP_DAYS, now=now)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def reader(log_location: Location, writer: LogWriter) -> Iterator[LogReader]:
    opened = LogReader(log_location)
    yield opened
    opened.close()


@pytest.fixture
def outbox(now: FakeClock) -> Outbox:
    return Outbox(now)
