"""Pauses of a receiver, an address, a login or a tag: what they cover waits at rest, all else goes on."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import clock
from appliance.lab.receiver import Receiver
from mta.directory import FromPolicy, Pause, Tenant
from mta.egress import Member, Pool
from mta.message import Egress
from mta.scheduling.operations import Action
from mta.spool.questions import QueueFilter
from tests.support.peers import PeerReceiver
from tests.support.submissions import credential
from tests.support.way import LETTER, egress_plan, open_way, site_on, until

SHAPING = """
[default]
connections = 4
messages_per_connection = 100
tls = "opportunistic"

[provider.google]
title = "Google"
mx = [".google.lab"]
"""
OTHER_LOGIN = credential(id=4)
TAGGED = b"X-Pillarbox-Tag: news\r\n" + LETTER
ADDRESSES = [
    Egress(name=f"out{n}", address=f"127.0.0.{10 + n}", helo=f"out{n}.lab", ipv6=False)
    for n in (1, 2)
]


async def to_google(way, **changes):
    return await way.send(recipients=("joe@gmail.lab",), **changes)


async def waits(way, number):
    return await way.statuses(number) == ["queued"]


async def delivered(way, *numbers):
    return all([await way.statuses(number) == ["delivered"] for number in numbers])


async def why(way, number):
    found = await way.operations.find(QueueFilter(message_id=number), (-1, -1), 10)
    return [way.operations.standing(one)[1] for one in found]


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        ({"provider": "google"}, "google is paused by ann: delays"),
        ({"site": "mx.google.lab"}, "mx.google.lab is paused by ann: delays"),
        ({"provider": "google", "tenant_id": 7}, "google is paused by ann: delays"),
        ({"credential_id": 4}, "this login is paused by ann: delays"),
        ({"tag": "news"}, "tag news is paused by ann: delays"),
        ({"tag": "news", "provider": "google"}, "google, tag news is paused by ann: delays"),
    ],
)
async def test_what_is_paused_waits_says_why_and_goes_on_when_it_is_over(location, pause, words):
    async with Receiver() as mx, open_way(location, mx.port, shaping=SHAPING) as way:
        way.router.special["gmail.lab"] = site_on(mx.port, "mx.google.lab")
        way.change(pauses=(Pause(id=1, by="ann", reason="delays", **pause),))
        held = await to_google(way, data=TAGGED, credential=OTHER_LOGIN)
        free = await way.send()
        await until(lambda: delivered(way, free))
        await asyncio.sleep(0.1)
        assert await waits(way, held)
        assert await why(way, held) == [words]
        assert way.dispatcher.in_memory == 0, "it waits in the store"
        way.change(pauses=())
        await until(lambda: delivered(way, held))


async def test_what_is_ready_when_the_pause_comes_is_kept_back_too(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port, shaping=SHAPING) as way:
        way.sender._draining = True  # nothing is sent yet
        numbers = [await way.send(TAGGED) for _ in range(3)]
        await until(lambda: way.dispatcher.in_memory == 3)
        way.change(pauses=(Pause(id=1, tag="news"),))
        way.sender._draining = False
        way.change()
        await until(lambda: way.dispatcher.in_memory == 0)
        assert mx.count == 0
        way.change(pauses=())
        await until(lambda: delivered(way, *numbers))


async def test_behind_a_paused_login_others_to_the_same_domain_go_on(tmp_path):
    """Read from the store in pages: the paused ones are passed over, and not read again and again."""
    async with Receiver() as mx, open_way(tmp_path, mx.port, max_recipients=200) as way:
        way.change(tenants={7: Tenant(id=7, name="acme", suspended=True)})
        paused = [await way.send(credential=OTHER_LOGIN) for _ in range(300)]
        free = [await way.send() for _ in range(300)]
        way.change(tenants={7: Tenant(id=7, name="acme")}, pauses=(Pause(id=1, credential_id=4),))
        await until(lambda: mx.count == 300, 20)
        await until(lambda: delivered(way, *free))
        assert await waits(way, paused[0])
        assert (way.dispatcher.in_memory, mx.count) == (0, 300)
        way.change(pauses=())
        await until(lambda: delivered(way, *paused), 20)


async def test_mail_of_a_paused_address_goes_from_others(location):
    plan = egress_plan(
        *ADDRESSES,
        pools=(Pool(name="main", members=(Member(egress="out1"), Member(egress="out2"))),),
        default_pool="main",
    )
    async with PeerReceiver() as mx, open_way(location, mx.port, shaping=SHAPING) as way:
        way.router.special["gmail.lab"] = site_on(mx.port, "mx.google.lab")
        way.change(egress=plan, pauses=(Pause(id=1, egress="out1", provider="google"),))
        numbers = [await to_google(way) for _ in range(6)]
        await until(lambda: delivered(way, *numbers))
        assert mx.taken() == {"127.0.0.12": 6}
        numbers = [await way.send() for _ in range(6)]
        await until(lambda: delivered(way, *numbers))
        assert mx.taken()["127.0.0.11"], "to other receivers it is not paused"
        way.change(pauses=(Pause(id=2, egress="out1"), Pause(id=3, egress="out2", by="ann")))
        held = await way.send()
        await asyncio.sleep(0.1)
        assert await waits(way, held)
        assert "is paused by" in (await why(way, held))[0]
        way.change(pauses=(Pause(id=2, egress="out1"),))
        await until(lambda: delivered(way, held))


async def test_a_pause_with_an_end_is_over_when_it_comes(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port, shaping=SHAPING) as way:
        way.router.special["gmail.lab"] = site_on(mx.port, "mx.google.lab")
        end = clock.now_ms() + 400
        way.change(pauses=(Pause(id=1, provider="google", expires_at=end),))
        held = await to_google(way)
        assert await waits(way, held)
        await until(lambda: delivered(way, held))
        assert clock.now_ms() >= end


async def test_what_is_cancelled_while_its_page_is_read_is_never_sent(tmp_path):
    """The page shows it as it was; between the look and its use a person has cancelled it."""
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way._loop.cancel()
        await asyncio.gather(way._loop, return_exceptions=True)
        way.window._max_recipients = 0
        await way.send()
        way.window._max_recipients = 1000
        seen, go = asyncio.Event(), asyncio.Event()
        call = way.shard.call

        class Slow:
            async def call(self, work):
                found = await call(work)
                seen.set()
                await go.wait()
                return found

        way.dispatcher._shard = Slow()
        step = asyncio.create_task(way.dispatcher.step())
        await seen.wait()
        done = await way.operations.act(Action.CANCEL, QueueFilter(), by="ann")
        go.set()
        await step
        await asyncio.sleep(0.1)
        assert (done.changed, mx.count, way.dispatcher.in_memory) == (1, 0, 0)


async def test_a_paused_login_of_one_tenant_says_nothing_of_another(tmp_path):
    other = Tenant(id=8, name="other")
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(
            tenants={7: Tenant(id=7, name="acme"), 8: other},
            pauses=(Pause(id=1, tenant_id=7, tag="news"),),
        )
        held = await way.send(TAGGED)
        login = credential(id=5, tenant_id=8, from_policy=FromPolicy.ANY)
        free = await way.send(TAGGED, tenant=other, credential=login)
        await until(lambda: delivered(way, free))
        assert await waits(way, held)
