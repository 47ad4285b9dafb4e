"""An outcome is written whatever the receiver said; what cannot be written all the same is not forgotten."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from appliance.core.errors import StoreError
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.way import open_way, until

GREETING = b"12 \xff\xfe mx\r\n"


@asynccontextmanager
async def babbler():
    """A receiver whose greeting is no reply and no text; its port."""

    async def greet(_reader, writer):
        writer.write(GREETING)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def outcome(way, number):
    """How the message stands, and what its last event tells."""
    [recipient] = await way.shard.call(lambda store, _: store.recipients(number))
    events = await way.shard.call(lambda store, _: store.events_of(number))
    return recipient, msgspec.json.decode(events[-1].data)


async def is_in(way, number, status):
    return await way.statuses(number) == [status]


async def test_a_greeting_that_is_no_text_is_kept_as_far_as_it_is_one(location, caplog):
    async with babbler() as port, open_way(location, port) as way:
        number = await way.send()
        await until(lambda: is_in(way, number, "deferred"))
        recipient, data = await outcome(way, number)
    assert recipient.attempts >= 1
    assert "the receiver's answer cannot be read" in recipient.reason
    assert "\ufffd mx" in str(data["steps"])
    assert "failed" not in caplog.text


async def test_an_outcome_that_no_database_takes_is_written_in_fewer_words(
    location, monkeypatch, caplog
):
    monkeypatch.setattr("mta.transport.smtp_conversation._words", lambda message: message)
    async with babbler() as port, open_way(location, port) as way:
        number = await way.send()
        await until(lambda: is_in(way, number, "deferred"))
        recipient, data = await outcome(way, number)
        await until(lambda: way.results.outstanding == 0)
    assert recipient.attempts >= 1
    assert "read: ? mx" in recipient.reason
    assert data["reply"] == recipient.reason
    assert data["attempt"] >= 1
    assert "steps" not in data
    assert "is kept in fewer words" in caplog.text


class Refusing:
    """A shard that cannot write the first outcomes it is given."""

    def __init__(self, shard, times):
        self._shard, self.times = shard, times

    def __getattr__(self, name):
        return getattr(self._shard, name)

    def settle(self, settlements, notices, on_done):
        if self.times:
            self.times -= 1
            asyncio.get_running_loop().call_soon(on_done, StoreError("no"))
        else:
            self._shard.settle(settlements, notices, on_done)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("mta.scheduling.results.CRASH_PAUSE", 300)


async def test_what_could_not_be_recorded_is_tried_again(tmp_path, soon):
    script = Script(recipients={"jane@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        way.results._shard = refusing = Refusing(way.shard, 2)
        number = await way.send()
        await until(lambda: refusing.times == 0)
        assert await way.statuses(number) == ["queued"]
        await until(lambda: is_in(way, number, "bounced"))
        await until(lambda: mx.count == 1)  # one notice, though it was tried three times
        await until(lambda: way.dispatcher.in_memory == 0)


async def test_what_was_delivered_is_not_sent_again_because_nobody_could_write_it_down(
    tmp_path, soon
):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.results._shard = Refusing(way.shard, 1)
        number = await way.send()
        await until(lambda: mx.count == 1)
        await asyncio.sleep(0.8)
        assert (await way.statuses(number), mx.count) == (["queued"], 1)
        assert way.dispatcher.in_memory == 0
