"""The shipping loop: nothing lost, nothing twice, and one bad event stops nobody."""

from __future__ import annotations

import logging

import pytest

from appliance.core.errors import StoreError
from appliance.core.rpc import RpcClient, RpcServer
from appliance.core.scope import Scope
from appliance.history import EventFilters, RpcOutbox, Shipper
from appliance.history.shipper import SILENT_TURNS
from tests.support.history import Outbox

BOX = Scope.system()


class Consumer:
    """Remembers what it was told; fails as told."""

    name = "test"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: StoreError | None = None
        self.poison = -1

    async def apply(self, events):
        if self.fails is not None:
            raise self.fails
        if any(event.seq == self.poison for event in events):
            raise RuntimeError("a bug")
        self.told += [event.id for event in events]


def stream(reader):
    return [str(event.kind) for event in reader.events(BOX, EventFilters()).events]


async def test_events_go_to_the_log_and_leave_the_outbox(writer, reader, outbox):
    message = outbox.accept("ann@receiver.example")
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    consumer = Consumer()
    shipper = Shipper([outbox], writer, [consumer], batch=2)
    assert await shipper.step()  # a full batch: there may be more
    assert not await shipper.step()
    assert outbox.rows == []
    assert stream(reader) == ["accepted", "delivered"]
    assert len(consumer.told) == 2


async def test_a_kill_between_log_and_acknowledgement_writes_nothing_twice(writer, reader, outbox):
    message = outbox.accept("ann@receiver.example")
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    outbox.lose_acks = True
    await Shipper([outbox], writer).step()
    assert len(outbox.rows) == 2
    outbox.lose_acks = False
    await Shipper([outbox], writer).step()
    assert outbox.rows == []
    assert stream(reader) == ["accepted", "delivered"]


async def test_a_silent_shard_holds_up_no_other_and_is_reported_once(
    writer, reader, outbox, now, caplog
):
    other = Outbox(now, shard=1)
    outbox.accept("ann@receiver.example")
    other.accept("bob@receiver.example")
    outbox.down = True
    shipper = Shipper([outbox, other], writer)
    with caplog.at_level(logging.WARNING):
        for _ in range(2 * SILENT_TURNS):
            await shipper.step()
    assert stream(reader) == ["accepted"]
    assert len([r for r in caplog.records if "events wait" in r.message]) == 1
    outbox.down = False
    await shipper.step()
    assert len(stream(reader)) == 2


@pytest.mark.parametrize(
    ("n", "kind", "data", "words"),
    [
        (0, "deferred", b'{"tenant": 7, "to"', "truncated"),
        (0, "deferred", b'{"to": "ann@receiver.example"}', "tenant"),
        (0, "deferred", b'{"tenant": "seven"}', "int"),
        (0, "deferred", b"\xff\xfe", "JSON"),
        (0, "exploded", b'{"tenant": 7}', "exploded"),
        (-1, "deferred", b'{"tenant": 7}', "names no recipient"),
        (-1, "accepted", b'{"tenant": 7}', "without recipients"),
        (-1, "accepted", b'{"tenant": 7, "recipients": [[0, "a", "b", "lost"]]}', "lost"),
    ],
)
async def test_an_event_that_cannot_be_read_is_set_aside(
    writer, reader, outbox, caplog, n, kind, data, words
):
    message = outbox.accept("ann@receiver.example")
    outbox.add(message, n, kind, data)
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    await Shipper([outbox], writer).step()
    assert outbox.rows == []
    assert stream(reader) == ["accepted", "delivered"]
    assert [r for r in caplog.records if "set aside" in r.message and words in r.message]
    ((problem, kept),) = rejected(writer)
    assert words in problem
    assert bytes(kept) == data


def rejected(writer):
    with writer._partitions.transaction(writer.today) as cursor:
        return list(cursor.execute("SELECT problem, data FROM log_rejected").fetchall())


async def test_an_event_of_a_foreign_shard_or_of_the_future_is_set_aside(writer, reader, outbox):
    outbox.add(1 << 13, 0, "delivered", {"tenant": 7, "to": "ann@receiver.example"})
    outbox.add(1 << 62, 0, "delivered", {"tenant": 7, "to": "ann@receiver.example"})
    await Shipper([outbox], writer).step()
    assert outbox.rows == []
    assert stream(reader) == []
    assert sorted(problem.partition(" ")[0] for problem, _ in rejected(writer)) == ["its", "its"]


async def test_the_event_that_crashes_a_consumer_is_set_aside_alone(writer, reader, outbox):
    for number in range(9):
        outbox.accept(f"a{number}@receiver.example")
    consumer = Consumer()
    consumer.poison = 5
    await Shipper([outbox], writer, [consumer]).step()
    assert len(consumer.told) == 8
    assert len(stream(reader)) == 9  # the log has no quarrel with it
    ((problem, _),) = rejected(writer)
    assert problem.startswith("test failed")
    assert outbox.rows == []


async def test_a_consumer_that_cannot_now_keeps_the_batch_in_the_outbox(writer, reader, outbox):
    outbox.accept("ann@receiver.example")
    consumer = Consumer()
    consumer.fails = StoreError("locked")
    shipper = Shipper([outbox], writer, [consumer])
    with pytest.raises(StoreError):
        await shipper.step()
    assert len(outbox.rows) == 1
    assert stream(reader) == []
    consumer.fails = None
    await shipper.step()
    assert stream(reader) == ["accepted"]


async def test_an_outbox_is_read_and_acknowledged_over_its_owners_socket(
    writer, reader, outbox, tmp_path
):
    outbox.accept("ann@receiver.example")

    async def read(payload):
        rows = await outbox.read(payload["limit"])
        return [[r.seq, r.message_id, r.n, r.kind, r.at, r.data] for r in rows]

    async def acknowledge(payload):
        await outbox.acknowledge(payload["upto"])

    path = tmp_path / "mta-0.sock"
    server = RpcServer(path, {"outbox_read": read, "outbox_ack": acknowledge})
    await server.start()
    client = RpcClient(path)
    await Shipper([RpcOutbox(client, 0)], writer).step()
    await client.close()
    await server.close()
    assert outbox.rows == []
    assert stream(reader) == ["accepted"]


async def test_a_long_outbox_is_read_a_page_at_a_time_and_written_at_once(outbox, monkeypatch):
    monkeypatch.setattr("appliance.history.shipper._PAGE", 2)
    for number in range(5):
        outbox.accept(f"a{number}@receiver.example")
    asked = []

    class Owner:
        async def call(self, _method, payload, _timeout):
            asked.append((payload["after"], payload["limit"]))
            behind = [row for row in outbox.rows if row.seq > payload["after"]]
            return [
                [r.seq, r.message_id, r.n, r.kind, r.at, r.data] for r in behind[: payload["limit"]]
            ]

    assert await RpcOutbox(Owner(), 0).read(100) == outbox.rows
    assert asked == [(0, 2), (2, 2), (4, 2)]
    asked.clear()
    assert await RpcOutbox(Owner(), 0).read(3) == outbox.rows[:3]
    assert asked == [(0, 2), (2, 1)]
