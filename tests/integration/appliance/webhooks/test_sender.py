"""The sender over real sockets: at least once, in the order of a message, and nobody waits for the dead."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks import Webhook

from appliance.core import clock
from appliance.core.metrics import Metrics, render
from appliance.core.scope import Scope
from appliance.core.settings import Webhooks as Settings
from appliance.history import LogWriter, write_partitions
from appliance.notices import Notices
from appliance.tenancy import Tenants
from appliance.webhooks import TYPES, Outcome, SenderStore, Webhooks
from appliance.webhooks.lane import WINDOW
from tests.support.history import KEEP_DAYS, Outbox
from tests.support.way import until
from tests.support.webhooks import (
    FAST,
    KEYS,
    LOOPBACK,
    OK,
    Got,
    answer,
    receiver,
    sender,
    ship,
    turning,
)

ADMIN = Scope.system(by="admin")


@pytest.fixture
def now():
    """The log's clock: the sender's is the machine's."""
    return clock.now_ms


@pytest.fixture
def writer(log_location):
    opened = LogWriter(write_partitions(log_location), keep_days=KEEP_DAYS)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def webhooks(engine):
    return Webhooks(engine, KEYS, FAST, LOOPBACK)


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(ADMIN, name="acme")).id


class Post:
    """Mail of a tenant, as the log is told of it."""

    def __init__(self, writer: LogWriter, tenant: int) -> None:
        self._writer, self._tenant = writer, tenant
        self._outbox = Outbox(clock.now_ms)

    def mail(self, count: int = 1, *, ends: tuple[str, ...] = ("delivered",), **more) -> list[int]:
        """So many messages, each accepted and then what `ends` says."""
        made = []
        for number in range(count):
            to = f"u{number}@b.example"
            message = self._outbox.accept(to, tenant=self._tenant, **more)
            for end in ends:
                self._outbox.tried(message, 0, end, to, tenant=self._tenant)
            made.append(message)
        ship(self._writer, self._outbox)
        return made


@pytest.fixture
def post(writer, acme):
    return Post(writer, acme)


def seqs(got: list[Got]) -> dict[str, list[int]]:
    """The numbers of the events by message, in the order in which they came."""
    found: dict[str, list[int]] = {}
    for one in got:
        data = one.json["data"]
        found.setdefault(data["message_id"], []).append(int(data["event_id"].split(".")[-1]))
    return found


async def test_an_event_arrives_signed_as_the_standard_has_it(engine, reader, webhooks, acme, post):
    post.mail()  # before there was an endpoint
    async with receiver() as shop, turning(sender(engine, reader)):
        await asyncio.sleep(0.02)
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail(ends=("deferred", "delivered"), tags=["order"], metadata='{"id": 5}')
        await until(lambda: len(shop.got) == 3)
        check = Webhook(made.secret)
        told = [check.verify(got.body, got.headers) for got in shop.got]
    kinds = [one["type"] for one in told]
    assert kinds == ["message.accepted", "message.deferred", "message.delivered"]
    assert {(one["data"]["metadata"]["id"], *one["data"]["tags"]) for one in told} == {(5, "order")}
    (last, *_) = await webhooks.deliveries(ADMIN, made.endpoint.id)
    assert (last.outcome, last.status, last.answer) == (Outcome.TAKEN, 200, "thanks")


async def test_what_was_not_chosen_and_what_is_anothers_is_not_sent(
    engine, reader, writer, webhooks, acme, post
):
    stranger = (await Tenants(engine).create(ADMIN, name="other")).id
    async with receiver() as shop, turning(sender(engine, reader)):
        chosen = ("message.bounced",)
        await webhooks.create(ADMIN, url=shop.url, types=chosen, tenant_id=acme)
        Post(writer, stranger).mail(3, ends=("bounced",))
        post.mail(3)
        post.mail(ends=("bounced",), tags=["late"])
        await until(lambda: shop.got)
        await asyncio.sleep(0.05)
    (got,) = shop.got
    assert (got.json["type"], got.json["data"]["tags"]) == ("message.bounced", ["late"])
    assert list(seqs(shop.got)) == [got.json["data"]["message_id"]]


async def test_each_message_keeps_its_order_while_the_receiver_stumbles(
    engine, reader, webhooks, acme, post
):
    times: dict[str, int] = {}

    def stumbling(got: Got) -> bytes:
        times[got.name] = times.get(got.name, 0) + 1
        return answer(503) if hash(got.name) % 3 == 0 and times[got.name] < 3 else OK

    async with receiver(stumbling) as shop, turning(sender(engine, reader)):
        await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail(20, ends=("deferred", "deferred", "delivered"))

        def taken() -> int:
            return sum(times[name] == (3 if hash(name) % 3 == 0 else 1) for name in times)

        await until(lambda: taken() == 80, seconds=30)
    first: list[Got] = []
    for got in shop.got:  # the attempt that was taken is the last of each
        times[got.name] -= 1
        if not times[got.name]:
            first.append(got)
    orders = seqs(first)
    assert len(orders) == 20
    assert all(order == sorted(order) and len(order) == 4 for order in orders.values())


async def test_dead_and_slow_receivers_hold_up_nobody(engine, reader, webhooks, acme, post):
    async def never(_: Got) -> bytes:
        await asyncio.sleep(30)
        return OK

    async with receiver() as gone:
        dead = gone.url
    async with receiver(never) as hanging, receiver() as well, turning(sender(engine, reader)):
        for url in (hanging.url, dead, well.url):
            await webhooks.create(ADMIN, url=url, types=TYPES, tenant_id=acme)
        for _ in range(4):
            post.mail(50)
        await until(lambda: len(well.got) == 400, seconds=30)
        assert len(hanging.got) < 40  # none of them answered; a handful are tried


async def test_a_receiver_that_was_dead_is_told_everything_once_it_lives(
    engine, reader, webhooks, acme, post
):
    """Far more than a lane holds: the rest stays in the log."""
    is_well = False
    async with receiver(lambda _: OK if is_well else answer(500)) as shop:
        one = sender(engine, reader)
        async with turning(one):
            await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
            for _ in range(3):
                post.mail(WINDOW // 2)
            await until(lambda: len(shop.got) > 5)
            assert sum(len(lane.items) for lane in one._lanes.values()) <= WINDOW
            shop.got.clear()
            is_well = True
            await until(lambda: len({got.name for got in shop.got}) == 3 * WINDOW, seconds=30)
    assert all(order == sorted(order) for order in seqs(shop.got).values())


async def test_after_a_crash_everything_arrives_and_in_order(engine, reader, webhooks, acme, post):
    async def slow(_: Got) -> bytes:
        await asyncio.sleep(0.002)
        return OK

    async with receiver(slow) as shop:
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        messages = []
        for _ in range(6):
            one = sender(engine, reader)  # nothing of the last one is left but the store
            messages += post.mail(30, ends=("deferred", "delivered"))
            for _ in range(3):
                await one.step()
                await asyncio.sleep(0.02)
            one._post._is_closing = True  # killed: nothing is saved, what is under way is cut off
            for task in list(one._post._work):
                task.cancel()
            await asyncio.gather(*one._post._work, return_exceptions=True)
            one._post._client.close()
        wanted = len(messages) * 3
        async with turning(sender(engine, reader)):
            await until(lambda: len({got.name for got in shop.got}) == wanted, seconds=30)
            await until(lambda: _is_idle(webhooks, made.endpoint.id), seconds=30)
    first: dict[str, Got] = {}
    for got in shop.got:
        first.setdefault(got.name, got)
    assert all(order == sorted(order) for order in seqs(list(first.values())).values())


async def _is_idle(webhooks: Webhooks, webhook_id: int) -> bool:
    return (await webhooks.standing(ADMIN, webhook_id)).waiting == 0


async def test_one_that_takes_nothing_for_long_is_disabled_with_a_notice(
    engine, reader, webhooks, acme, post
):
    brief = Settings(
        allow_http=True, allow_networks=("127.0.0.0/8",), retry=(0.05,), give_up_after=0.3
    )
    async with receiver(lambda _: answer(500, "broken")) as shop:
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        async with turning(sender(engine, reader, brief)):
            post.mail(60)
            await until(lambda: _is_disabled(webhooks, made.endpoint.id))
            tried = len(shop.got)
            post.mail(2)
            await asyncio.sleep(0.2)
            assert len(shop.got) == tried
            one = await webhooks.get(ADMIN, made.endpoint.id)
            assert "taken nothing" in one.disabled_reason
            (notice,) = await Notices(engine).list(Scope.tenant(acme))
            assert notice.kind == "webhook-disabled"
            shop.answering = lambda _: OK
            shop.got.clear()
            await webhooks.enable(ADMIN, one.id)
            await until(lambda: len({got.name for got in shop.got}) == 124, seconds=20)


async def _is_disabled(webhooks: Webhooks, webhook_id: int) -> bool:
    return not (await webhooks.get(ADMIN, webhook_id)).is_enabled


async def test_one_event_that_is_never_taken_is_given_up_and_can_be_replayed(
    engine, reader, webhooks, acme, post
):
    brief = Settings(
        allow_http=True, allow_networks=("127.0.0.0/8",), retry=(0.05,), give_up_after=0.3
    )
    is_picky = True

    def picky(got: Got) -> bytes:
        return answer(422) if is_picky and got.json["type"] == "message.bounced" else OK

    async with receiver(picky) as shop, turning(sender(engine, reader, brief)):
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail(ends=("bounced",))

        async def is_given_up() -> bool:
            post.mail()
            return bool((await webhooks.standing(ADMIN, made.endpoint.id)).given_up)

        await until(is_given_up, seconds=20)
        assert not await _is_disabled(webhooks, made.endpoint.id)
        is_picky = False
        shop.got.clear()
        assert await webhooks.replay_failed(ADMIN, made.endpoint.id) == 1
        await until(lambda: any(got.json["type"] == "message.bounced" for got in shop.got))


async def test_one_that_says_gone_is_disabled_at_once(engine, reader, webhooks, acme, post):
    async with receiver(lambda _: answer(410)) as shop, turning(sender(engine, reader)):
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail()
        await until(lambda: _is_disabled(webhooks, made.endpoint.id))
        assert "410" in (await webhooks.get(ADMIN, made.endpoint.id)).disabled_reason


async def test_who_asks_for_patience_gets_it(engine, reader, webhooks, acme, post):
    async with receiver(lambda _: answer(429, "", "Retry-After: 60")) as shop:
        one = sender(engine, reader)
        async with turning(one):
            await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
            post.mail(5)
            await until(lambda: shop.got)
            await until(lambda: all(not lane.in_flight for lane in one._lanes.values()))
            (lane,) = one._lanes.values()
            assert lane.rest_until - clock.now_ms() > 30_000
            assert len(shop.got) <= 2


async def test_what_people_change_is_taken_up_while_it_runs(engine, reader, webhooks, acme, post):
    one = sender(engine, reader)
    async with receiver() as first, receiver() as second, turning(one):
        made = await webhooks.create(ADMIN, url=first.url, types=TYPES, tenant_id=acme)
        await webhooks.create(ADMIN, url=second.url, types=TYPES, tenant_id=acme)
        post.mail(ends=())
        await until(lambda: len(first.got) == len(second.got) == 1)
        rotated = await webhooks.rotate(ADMIN, made.endpoint.id)
        await until(lambda: len(one._lanes[made.endpoint.id].signer.keys) == 2)
        post.mail(ends=())
        await until(lambda: len(first.got) == len(second.got) == 2)
        both = first.got[-1]
        for secret in (made.secret, rotated.secret):
            Webhook(secret).verify(both.body, both.headers)
        await webhooks.delete(ADMIN, made.endpoint.id)
        await until(lambda: made.endpoint.id not in one._lanes)
        post.mail(ends=())
        await until(lambda: len(second.got) == 3)
        await asyncio.sleep(0.05)
    assert len(first.got) == 2


async def test_nothing_goes_to_one_that_was_disabled_whatever_was_in_hand(
    engine, reader, webhooks, acme, post
):
    async def slow(_: Got) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    async with receiver(slow) as shop, turning(sender(engine, reader)) as one:
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail(100)
        await until(lambda: len(shop.got) > 5)
        await webhooks.disable(ADMIN, made.endpoint.id)
        await until(lambda: not one._lanes)
        sent = len(shop.got)
        await asyncio.sleep(0.3)
        assert len(shop.got) <= sent + 8  # those that were under way
        shop.answering = lambda _: OK
        await webhooks.enable(ADMIN, made.endpoint.id)
        await until(lambda: len({got.name for got in shop.got}) == 200, seconds=20)


async def test_a_disabled_one_keeps_its_place_over_a_restart(engine, reader, webhooks, acme, post):
    async with receiver() as shop:
        made = await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        async with turning(sender(engine, reader)):
            post.mail(ends=())
            await until(lambda: len(shop.got) == 1)
        await webhooks.disable(ADMIN, made.endpoint.id)
        async with turning(sender(engine, reader)) as one:
            post.mail(4, ends=())
            await until(lambda: made.endpoint.id in one._own)
        async with turning(sender(engine, reader)):
            await webhooks.enable(ADMIN, made.endpoint.id)
            await until(lambda: len({got.name for got in shop.got}) == 5)


async def test_what_is_taken_at_once_never_becomes_a_row(engine, reader, webhooks, acme, post):
    """The happy path writes the place in the stream and the log of deliveries, in batches."""
    rows = []

    class Watching(SenderStore):
        async def save(self, batch):
            rows.extend(batch.new)
            await super().save(batch)

    async with receiver() as shop:
        await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        one = sender(engine, reader)
        one._store = Watching(engine, KEYS)
        await one.step()
        post.mail(100)
        one._saved_at = clock.now_ms() + 60_000  # not yet
        async with turning(one):
            await until(lambda: len(shop.got) == 200, seconds=20)
            await until(lambda: not any(lane.items for lane in one._lanes.values()))
            one._saved_at = 0
            await until(lambda: one._saved_at)
        assert rows == []


async def test_an_idle_sender_writes_nothing(engine, reader, webhooks, acme):
    saved = []

    class Watching(SenderStore):
        async def save(self, batch):
            saved.append(batch)
            await super().save(batch)

    one = sender(engine, reader)
    one._store = Watching(engine, KEYS)
    await webhooks.create(ADMIN, url="http://127.0.0.1:9/", types=TYPES, tenant_id=acme)
    for _ in range(4):
        one._saved_at = 0
        await one.step()
    before = len(saved)
    for _ in range(4):
        one._saved_at = 0
        await one.step()
    assert len(saved) == before
    await one.close()


async def test_it_is_counted(engine, reader, webhooks, acme, post):
    metrics = Metrics()
    async with receiver() as shop, turning(sender(engine, reader, metrics=metrics)):
        await webhooks.create(ADMIN, url=shop.url, types=TYPES, tenant_id=acme)
        post.mail()
        await until(lambda: len(shop.got) == 2)
        await until(
            lambda: b'webhook_deliveries_total{outcome="taken"} 2.0' in render(metrics.registry)
        )
