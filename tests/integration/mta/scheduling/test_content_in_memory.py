"""Content that is read back to be sent: bounded as a whole, and given back whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter

from appliance.core.errors import StoreError
from appliance.lab.receiver import Receiver
from tests.support.way import open_way, until


class Held:
    """Transactions that do not go on until `go`."""

    def __init__(self, way):
        self.go, self.begun = asyncio.Event(), 0
        self._opened = way.sender._transport.open
        way.sender._transport.open = self._open

    def __enter__(self):
        return self

    def __exit__(self, *found):
        self.go.set()  # else a test that fails never ends

    async def _open(self, egress, site, **more):
        connection = await self._opened(egress, site, **more)
        send = connection.send

        async def held(envelope):
            self.begun += 1
            await self.go.wait()
            return await send(envelope)

        connection.send = held
        return connection


async def from_rest(way, count, room):
    """So many messages in the store, and room for the content of `room` and a half."""
    way.window._max_recipients = 0
    ids = [await way.send() for _ in range(count)]
    size = (await way.operations.show(ids[0])).message.size
    way.window._max_bytes = int((room + 0.5) * size)
    way.window._max_recipients = 1000
    way.dispatcher.reopen(lambda _: True)
    return ids, size


async def delivered(way, ids):
    return all([await way.statuses(number) == ["delivered"] for number in ids])


async def settled(way, ids):
    await until(lambda: delivered(way, ids), 20)
    await until(lambda: way.dispatcher.in_memory == 0)
    assert (way.window.held_bytes, way.window.read_back.held) == (0, 0)


async def test_no_more_is_read_back_than_there_is_room_for_and_all_of_it_goes(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        with Held(way) as held:
            ids, size = await from_rest(way, 10, room=2)
            await until(lambda: mx.open_sessions == 4 and held.begun == 2)
            await asyncio.sleep(0.1)
            assert (held.begun, way.window.read_back.held) == (2, 2 * size)
        await settled(way, ids)


async def test_content_larger_than_all_the_room_goes_one_by_one(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        ids, _ = await from_rest(way, 10, room=-0.5)
        await settled(way, ids)
        assert mx.count == 10


async def test_nothing_is_held_while_a_connection_is_opened(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        go, opened = asyncio.Event(), way.sender._transport.open

        async def slow(*given, **more):
            await go.wait()
            return await opened(*given, **more)

        way.sender._transport.open = slow
        ids, _ = await from_rest(way, 10, room=100)
        await until(lambda: way.operations.being_sent == 4)
        await asyncio.sleep(0.1)
        held = way.window.read_back.held
        go.set()
        assert held == 0
        await settled(way, ids)


async def test_what_crashes_or_cannot_be_read_gives_its_room_back(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        sign, mistakes = way.sender._sign, [ValueError("a mistake"), StoreError("locked")]

        async def failing(message, content):
            if mistakes:
                raise mistakes.pop()
            return await sign(message, content)

        way.sender._sign = failing
        ids, _ = await from_rest(way, 10, room=1)
        await settled(way, ids)
        assert not mistakes


async def test_whoever_waits_for_room_as_the_process_drains_stays_queued(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        with Held(way) as held:
            ids, _ = await from_rest(way, 4, room=2)
            await until(lambda: held.begun == 2 and way.window.read_back.is_waited_for)
            way.dispatcher.stop()
            draining = asyncio.create_task(way.sender.drain())
            await asyncio.sleep(0)
        await draining
        found = Counter([(await way.statuses(number))[0] for number in ids])
        assert found == {"delivered": 2, "queued": 2}
        assert (mx.count, way.window.read_back.held) == (2, 0)


async def test_a_connection_that_ends_while_it_waits_for_room_costs_no_attempt(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        with Held(way) as held:
            ids, _ = await from_rest(way, 4, room=2)
            await until(lambda: mx.open_sessions == 4 and held.begun == 2)
            mx.hang_up()
        await settled(way, ids)
        kinds = Counter(kind for kind, _ in await way.events())
        assert kinds == {"accepted": 4, "deferred": 2, "delivered": 4}  # of the two that had begun
