"""What goes wrong between the store and the receiver delays mail; it never strands it."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.errors import StoreError, StoreFullError
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from mta.directory import Pause
from mta.message import ReturnPathMode
from mta.reply import Reply
from mta.scheduling.operations import Action as Do
from mta.scheduling.sender import STORE_PAUSE
from mta.spool.questions import QueueFilter
from mta.transport.base import RouteError
from tests.support.submissions import credential
from tests.support.way import open_way, site_on, until

SHARED = credential(return_path_mode=ReturnPathMode.MESSAGE)


async def all_delivered(way, *ids):
    return all([set(await way.statuses(number)) == {"delivered"} for number in ids])


class Flaky:
    """A shard whose reads fail when told."""

    def __init__(self, shard):
        self._shard, self.failures = shard, 0

    def __getattr__(self, name):
        return getattr(self._shard, name)

    async def call(self, work):
        if self.failures:
            self.failures -= 1
            raise StoreError("locked")
        return await self._shard.call(work)


class Slow:
    """A receiver that answers no transaction until `go`."""

    def __init__(self, way):
        self.go, self.begun = asyncio.Event(), 0
        self._opened = way.sender._transport.open
        way.sender._transport.open = self._open

    async def _open(self, egress, site, **more):
        connection = await self._opened(egress, site, **more)
        send = connection.send

        async def slow_send(envelope):
            self.begun += 1
            await self.go.wait()
            return await send(envelope)

        connection.send = slow_send
        return connection


async def stop_dispatching(way):
    way._loop.cancel()
    await asyncio.gather(way._loop, return_exceptions=True)


async def at_rest(way, count=1, **changes):
    """Messages that wait in the store, with a key that is due, while nothing reads it."""
    way.window._max_recipients = 0
    ids = [await way.send(**changes) for _ in range(count)]
    way.window._max_recipients = 1000
    return ids


async def test_a_page_that_cannot_be_read_just_now_is_read_later(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await stop_dispatching(way)
        ids = await at_rest(way, 3)
        way.dispatcher._shard = flaky = Flaky(way.shard)
        flaky.failures = 2
        for _ in range(2):
            with pytest.raises(StoreError):
                await way.dispatcher.step()
        await way.dispatcher.step()
        await until(lambda: all_delivered(way, *ids))


async def test_a_content_that_cannot_be_read_just_now_costs_no_attempt_and_is_sent_later(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.sender._shard = flaky = Flaky(way.shard)
        flaky.failures = 1
        way.window._max_bytes = 0  # contents are read back from the store
        number = await way.send()
        await until(lambda: all_delivered(way, number))
        assert [kind for kind, _ in await way.events()] == ["accepted", "delivered"]
        assert way.dispatcher.in_memory == 0


async def test_a_look_up_that_crashes_defers_the_mail(tmp_path, caplog):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        answer, crashes = way.router.site_of, [ValueError("a mistake in the resolver")]

        async def site_of(domain):
            if crashes:
                raise crashes.pop()
            return await answer(domain)

        way.router.site_of = site_of
        number = await way.send()
        await until(lambda: all_delivered(way, number))
        assert [kind for kind, _ in await way.events()] == ["accepted", "deferred", "delivered"]
    assert "a mistake in the resolver" in caplog.text


async def test_a_pause_of_one_domain_keeps_only_its_part_of_a_shared_transaction(tmp_path):
    script = Script()
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        stop_connecting(way)
        people = ("a@one.example", "b@two.example", "c@one.example", "d@two.example")
        number = await way.send(credential=SHARED, recipients=people)
        await until(lambda: ready_in(way) == 1)
        way.change(pauses=(Pause(id=1, domain="two.example"),))
        connect_again(way)
        await until(lambda: mx.count == 1)
        assert mx.messages[0].recipients == ("a@one.example", "c@one.example")
        await asyncio.sleep(0.1)
        assert await way.statuses(number) == ["delivered", "queued", "delivered", "queued"]
        way.change(pauses=())
        await until(lambda: all_delivered(way, number))
        assert mx.count == 2


async def test_what_was_put_to_rest_beside_a_slow_attempt_goes_on_when_the_pause_ends(tmp_path):
    """The slow one keeps its key in memory: the others lie behind the place that was read."""
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await stop_dispatching(way)
        ids = await at_rest(way, 130, recipients=("jane@example.net",))
        slow = Slow(way)
        await way.dispatcher.step()
        await way.dispatcher.step()
        assert way.dispatcher.in_memory == 130
        await until(lambda: slow.begun == 4)
        way.change(pauses=(Pause(id=1, domain="example.net"),))
        slow.go.set()
        await until(lambda: way.dispatcher.in_memory == 0)
        assert mx.count == 4  # the transactions that had begun already
        slow.go.clear()
        way.change(pauses=())
        for _ in range(4):
            await way.dispatcher.step()
        slow.go.set()
        await until(lambda: all_delivered(way, *ids))
        assert mx.count == 130


async def test_what_could_not_be_read_is_found_again_while_its_neighbours_are_still_in_memory(
    tmp_path,
):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await stop_dispatching(way)
        ids = await at_rest(way, 130)
        way.sender._shard = flaky = Flaky(way.shard)
        flaky.failures = 1
        slow = Slow(way)
        await way.dispatcher.step()
        await way.dispatcher.step()
        await until(lambda: way.dispatcher.in_memory == 129)
        await asyncio.sleep(STORE_PAUSE / 1000)
        for _ in range(3):
            await way.dispatcher.step()
        assert way.dispatcher.in_memory == 130
        slow.go.set()
        await until(lambda: all_delivered(way, *ids))


def stop_connecting(way):
    """No connection has a place: what is ready stands in its lanes."""
    way.sender._places._most = 0


def connect_again(way, places=8):
    way.sender._places._most = places
    way.change()


def ready_in(way):
    return sum(len(lane) for lane in way.dispatcher.lanes)


async def test_a_site_that_always_has_work_starves_no_other_of_connections(tmp_path):
    busy, other = Receiver(Script(close_after=2)), Receiver()
    async with busy, other, open_way(tmp_path, busy.port) as way:
        stop_connecting(way)
        way.router.special["quiet.example"] = site_on(other.port, "quiet.lab")
        ids = [await way.send() for _ in range(200)]
        ids.append(await way.send(recipients=("x@quiet.example",)))
        await until(lambda: len(way.dispatcher.lanes) == 2)
        connect_again(way, places=1)
        await until(lambda: other.count == 1)
        assert busy.count < 100
        await until(lambda: all_delivered(way, *ids))


async def test_what_is_read_from_rest_while_its_cancellation_is_on_the_way_is_never_sent(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await stop_dispatching(way)
        [number] = await at_rest(way)
        found, go = asyncio.Event(), asyncio.Event()

        class Slow(Flaky):
            calls = 0

            async def call(self, work):
                self.calls += 1
                if self.calls == 2:  # the change itself
                    found.set()
                    await go.wait()
                return await self._shard.call(work)

        way.operations._shard = Slow(way.shard)
        acting = asyncio.create_task(
            way.operations.act(Do.CANCEL, QueueFilter(message_id=number), by="ann")
        )
        await found.wait()
        await way.dispatcher.step()
        await asyncio.sleep(0.1)
        assert mx.count == 0
        go.set()
        assert (await acting).changed == 1
        await way.dispatcher.step()
        assert (await way.statuses(number), mx.count) == (["cancelled"], 0)


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("action", [Do.CANCEL, Do.HOLD, Do.RETRY])
async def test_mail_whose_change_could_not_be_written_is_delivered_as_it_was(
    tmp_path, action, ready
):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await stop_dispatching(way)
        stop_connecting(way)
        if ready:
            number = await way.send()
            await until(lambda: ready_in(way) == 1)
        else:
            [number] = await at_rest(way)

        class Failing(Flaky):
            calls = 0

            async def call(self, work):
                self.calls += 1
                if self.calls == 2:
                    raise StoreFullError("full")
                return await self._shard.call(work)

        way.operations._shard = Failing(way.shard)
        if ready and action is Do.RETRY:  # it is about to be sent: there is nothing to change
            found = await way.operations.act(action, QueueFilter(message_id=number), by="ann")
            assert (found.changed, found.ready) == (0, 1)
        else:
            with pytest.raises(StoreFullError):
                await way.operations.act(action, QueueFilter(message_id=number), by="ann")
        connect_again(way)
        await way.dispatcher.step()
        await until(lambda: all_delivered(way, number))


async def test_memory_is_empty_when_everything_has_settled(tmp_path):
    script = Script(recipients={"gone@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port, max_recipients=50) as way:
        way.router.special["broken.test"] = RouteError(Reply(550, "5.1.2", "no such domain"))
        people = ("jane@example.net", "gone@example.net", "x@broken.test")
        ids = await asyncio.gather(*(way.send(recipients=people) for _ in range(60)))
        ended = ["delivered", "bounced", "bounced"]

        async def settled():
            return all([await way.statuses(number) == ended for number in ids])

        await until(settled, 20)
        await until(lambda: way.dispatcher.in_memory == 0)
        assert (way.window.held_bytes, way.results.outstanding) == (0, 0)
        await until(lambda: len(way.dispatcher.backlog) == 0)


async def test_ready_mail_that_is_suppressed_before_it_is_sent_leaves_no_content_in_memory(
    tmp_path,
):
    class Everybody:
        def match(self, tenant_id: int, address: str) -> bool:
            return True

    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        stop_connecting(way)
        number = await way.send()
        await until(lambda: ready_in(way) == 1)
        assert way.window.held_bytes > 0
        way.change(suppressions=Everybody())
        connect_again(way)
        await until(lambda: way.dispatcher.in_memory == 0)
        assert (await way.statuses(number), way.window.held_bytes) == (["suppressed"], 0)
    assert mx.count == 0
