"""Mail that cannot leave from one address: it goes from another, or waits with words and then goes on."""

from __future__ import annotations

import asyncio
from collections import Counter

from appliance.core import clock
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script
from mta.egress import Member, Pool
from mta.message import Egress
from mta.scheduling.blocked import WARMUP
from mta.scheduling.parcel import key_of
from mta.shaping.throttle import Fault, Subject, Throttle
from mta.spool.questions import QueueFilter
from mta.warmup.model import OTHER
from tests.support.warmup import MemoryStore, plan
from tests.support.way import egress_plan, open_way, site_on, until

SHAPING = """
[default]
connections = 3
messages_per_connection = 100
tls = "opportunistic"

[provider.google]
title = "Google"
mx = [".google.lab"]

[[rule]]
id = "elsewhere"
code = ["421"]
text = ["not from this address"]
then = [{ do = "next_address" }]
samples = ["421 4.7.0 not from this address"]
"""
BOTH = egress_plan(
    *(Egress(name=name, address="127.0.0.1", helo=f"{name}.lab", ipv6=False) for name in "ab"),
    pools=(
        Pool(name="main", members=(Member(egress="a"),), fallback="rest"),
        Pool(name="rest", members=(Member(egress="b"),)),
    ),
    default_pool="main",
)
ONE = egress_plan(Egress(name="a", address="127.0.0.1", helo="a.lab", ipv6=False))


def open_google(tmp_path, mx, egress, **options):
    way = open_way(tmp_path, mx.port, shaping=SHAPING, store=MemoryStore(), **options)
    return _Google(way, mx, egress)


class _Google:
    """The way, with example.net at a receiver that has a name."""

    def __init__(self, way, mx, egress):
        self._opening, self._mx, self._egress = way, mx, egress

    async def __aenter__(self):
        way = await self._opening.__aenter__()
        way.router.special["example.net"] = site_on(self._mx.port, "mx.google.lab")
        way.change(egress=self._egress)
        return way

    async def __aexit__(self, *found):
        await self._opening.__aexit__(*found)


def suspend(way, egress, zone="google", seconds=3600.0):
    now = clock.now_ms()
    row = Throttle(
        subject=Subject(egress, zone),
        suspended_until=now + round(seconds * 1000),
        fault=Fault("rule", "421 4.7.28 unusual rate", "mx.google.lab", now),
        changed_at=now,
    )
    way.regulator.throttles.load([row], now)
    way.dispatcher.reshaped()


def lift_all(way):
    now = clock.now_ms()
    for each in way.regulator.throttles.live():
        way.regulator.throttles.lift(each.subject, now, by="ann", reason="it was a mistake")
    way.dispatcher.reshaped()
    way.sender.rouse_all()


def helos(mx):
    return Counter(message.helo for message in mx.messages)


async def why(way, number):
    [found] = await way.operations.find(QueueFilter(message_id=number), (-1, -1), 10)
    return way.dispatcher.why_waiting(found)


async def test_while_one_address_is_suspended_the_fallback_pool_sends(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, BOTH) as way:
        suspend(way, "a")
        for _ in range(5):
            await way.send()
        await until(lambda: mx.count == 5)
        lift_all(way)
        for _ in range(5):
            await way.send()
        await until(lambda: mx.count == 10)
    assert helos(mx) == {"a.lab": 5, "b.lab": 5}


async def test_what_stands_in_the_lane_of_an_address_that_is_suspended_goes_from_another(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, BOTH) as way:
        way.sender._places._most = 0
        for _ in range(5):
            await way.send()
        await until(lambda: sum(len(lane) for lane in way.dispatcher.lanes) == 5)
        suspend(way, "a")
        way.sender._places._most = 8
        way.sender.rouse_all()
        await until(lambda: mx.count == 5)
    assert helos(mx) == {"b.lab": 5}


async def test_mail_for_a_suspended_zone_waits_with_words_while_other_mail_goes(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, ONE) as way:
        suspend(way, "a")
        ids = [await way.send() for _ in range(3)]
        await way.send(recipients=("joe@elsewhere.example",))
        await until(lambda: mx.count == 1)
        await until(lambda: way.dispatcher.in_memory == 0)
        assert "Google suspended egress a until" in await why(way, ids[0])
        assert "421 4.7.28 unusual rate" in await why(way, ids[0])
        lift_all(way)
        await until(lambda: mx.count == 4)


async def test_a_suspension_that_ends_by_itself_lets_all_that_waited_go(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, ONE) as way:
        suspend(way, "a", seconds=0.5)
        for number in range(20):
            domain = f"d{number}.example"
            way.router.special[domain] = way.router.special["example.net"]
            await way.send(recipients=(f"x@{domain}",))
        await until(lambda: mx.count == 20)


async def test_when_todays_budget_is_used_up_the_warm_address_takes_the_rest(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, BOTH) as way:
        way.change(warmup={("a", "google"): plan(egress="a", limit=7)})
        for _ in range(20):
            await way.send()
        await until(lambda: mx.count == 20)
        ledger = way.regulator.ledger
        await until(lambda: ledger.describe(clock.now_ms())[0].promised == 0)
    assert helos(mx) == {"a.lab": 7, "b.lab": 13}


async def test_without_a_warm_address_it_waits_says_so_and_goes_on_with_a_larger_budget(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, ONE) as way:
        way.change(warmup={("a", "google"): plan(egress="a", limit=3)})
        ids = [await way.send() for _ in range(10)]
        await until(lambda: mx.count == 3)
        await until(lambda: way.dispatcher.in_memory == 0)
        states = [(await way.statuses(number))[0] for number in ids]
        assert Counter(states) == {"delivered": 3, "queued": 7}
        waiting = ids[states.index("queued")]
        assert "has used 3 of 3 for google today" in (await why(way, waiting)).lower()
        way.change(warmup={("a", "google"): plan(egress="a", limit=10)})
        await way.regulator.ledger.step(clock.now_ms())  # as the mta does once a second
        way.dispatcher.reopen(lambda place: place[0] == WARMUP)
        await until(lambda: mx.count == 10)


async def test_a_warmup_that_begins_while_mail_stands_in_the_lane_counts_that_mail(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, ONE) as way:
        way.sender._places._most = 0
        for _ in range(10):
            await way.send()
        await until(lambda: sum(len(lane) for lane in way.dispatcher.lanes) == 10)
        way.sender._places._most = 8
        way.change(warmup={("a", "google"): plan(egress="a", limit=4)})
        await until(lambda: way.dispatcher.in_memory == 0)
        assert mx.count == 4


async def test_a_budget_that_is_gone_when_it_is_sent_means_another_address_and_never_both(tmp_path):
    """The plan promised more than there is: other processes used it meanwhile."""
    async with Receiver() as mx, open_google(tmp_path, mx, BOTH) as way:
        way.change(warmup={("a", "google"): plan(egress="a", limit=30)})
        store, lease = way.regulator.ledger._store, MemoryStore.lease_all

        async def almost_used_up(key, limits, amount):
            return await lease(store, key, dict.fromkeys(limits, 2), amount)

        store.lease_all = almost_used_up
        ids = [await way.send() for _ in range(12)]
        await until(lambda: mx.count >= 12)
        await until(lambda: way.dispatcher.in_memory == 0)
        assert [await way.statuses(number) for number in ids] == [["delivered"]] * 12
    assert helos(mx) == {"a.lab": 2, "b.lab": 10}


async def test_an_answer_that_asks_for_another_address_is_heeded_once_for_each(tmp_path):
    """Where none is left the schedule holds: no receiver is asked again every few seconds."""
    script = Script(always={Point.RCPT: "421 4.7.0 not from this address"})
    async with Receiver(script) as mx, open_google(tmp_path, mx, ONE) as way:
        number = await way.send()
        await until(lambda: way.witness.outcomes)
        outcome = way.witness.outcomes[0]
        [found] = await way.operations.find(QueueFilter(message_id=number), (-1, -1), 1)
        now = clock.now_ms()
        assert outcome.decision.due_at - now < 1000, "as the schedule says, not in five seconds"
        assert key_of(found).domain == "example.net"


async def test_mail_for_receivers_without_a_name_counts_for_all_others(tmp_path):
    async with Receiver() as mx, open_google(tmp_path, mx, ONE) as way:
        way.change(warmup={("a", OTHER): plan(egress="a", provider=OTHER, limit=2)})
        for _ in range(3):
            await way.send(recipients=("joe@elsewhere.example",))
        await until(lambda: mx.count == 2)
        await until(lambda: way.dispatcher.in_memory == 0)
        await asyncio.sleep(0.1)
        assert mx.count == 2
