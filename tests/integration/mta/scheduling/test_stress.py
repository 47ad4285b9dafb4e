"""A hundred things go wrong at once, and still every recipient ends in one state and nothing leaks.

Keys of several tenants and receivers, some named, two addresses of which one warms up; while mail comes
in, pauses, the kill switch, throttles and connections come and go, the store fails, tasks crash, answers
are temporary or final. Then everything is well again: what waits must leave, all of it, and every counter
that was taken must be back.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreError
from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script
from mta.directory import FromPolicy, KillSwitch, Pause, Tenant
from mta.egress import Member, Pool, TenantPools
from mta.message import Egress, ReturnPathMode
from mta.reply import Reply
from mta.shaping.throttle import Fault, Subject, Throttle
from mta.transport.base import RouteError
from mta.warmup.model import WarmupPlan, WarmupState
from tests.support.submissions import credential
from tests.support.warmup import MemoryStore
from tests.support.way import SCHEDULE, egress_plan, open_way, site_on, until

MESSAGES = 150
SHAPING = """
[default]
connections = 3
messages_per_connection = 5
tls = "opportunistic"

[provider.google]
title = "Google"
mx = [".google.lab"]
connections = 2
zone_connections = 3
messages_per_connection = 4
message_rate = "400/s"
connection_rate = "200/s"
recipients_per_message = 3
"""
ADDRESSES = [
    Egress(name="warm", address="127.0.0.1", helo="warm.lab", ipv6=False),
    Egress(name="cold", address="127.0.0.1", helo="cold.lab", ipv6=False),
]
PLAN = replace(
    egress_plan(
        *ADDRESSES,
        pools=(
            Pool(name="main", members=(Member(egress="cold"),), fallback="rest"),
            Pool(name="rest", members=(Member(egress="warm", weight=2), Member(egress="cold"))),
            Pool(name="own", tenant_id=8, members=(Member(egress="warm"),)),
        ),
        default_pool="main",
    ),
    tenants={8: TenantPools(any_class="own")},
)
TENANTS = {7: Tenant(id=7, name="acme"), 8: Tenant(id=8, name="other", weight=3)}
WARMUP = {
    ("cold", "google"): WarmupPlan(
        egress="cold", provider="google", state=WarmupState.WARMING, stage=0, stages=3, limit=40
    )
}
FINAL = {"delivered", "bounced", "suppressed"}


class Weather:
    """What goes wrong, by the dice."""

    def __init__(self, way, receivers, seed):
        self.way, self.receivers, self.dice = way, receivers, random.Random(seed)
        self.turn = 0
        self._open, self._call = way.sender._transport.open, way.shard.call
        way.sender._transport.open = self.open
        way.sender._shard = way.dispatcher._shard = self
        self.fine = False

    def __getattr__(self, name):
        return getattr(self.way.shard, name)

    async def open(self, egress, site, **more):
        if not self.fine and self.dice.random() < 0.05:
            raise ValueError("a mistake in the transport")
        connection = await self._open(egress, site, **more)
        if not self.fine and self.dice.random() < 0.1:
            connection.send = self.crash
        return connection

    async def crash(self, _envelope):
        raise ValueError("a mistake in a connection")

    async def call(self, work):
        if not self.fine and self.dice.random() < 0.03:
            raise StoreError("locked")
        return await self._call(work)

    def blow(self):
        """One more thing."""
        self.turn += 1
        self.dice.choice(
            (self.pause, self.kill, self.throttle, self.lift, self.refuse, self.calm, self.suspend)
        )()

    def pause(self):
        said = self.dice.choice(
            (
                {"tenant_id": 7},
                {"domain": "d1.example"},
                {"provider": "google"},
                {"egress": "warm"},
                {"credential_id": 4, "expires_at": clock.now_ms() + 40},
                {"tag": "none"},
            )
        )
        self.way.change(pauses=(Pause(id=self.turn, by="ann", **said),))

    def kill(self):
        self.way.change(kill_switch=KillSwitch(by="ann", at=1, reason="test"))

    def suspend(self):
        tenant = self.dice.choice((7, 8))
        gone = replace(TENANTS[tenant], suspended=True)
        self.way.change(tenants=TENANTS | {tenant: gone})

    def calm(self):
        self.way.change(pauses=(), kill_switch=None, tenants=TENANTS)

    def throttle(self):
        now, egress = clock.now_ms(), self.dice.choice(("warm", "cold"))
        subject = Subject(egress, "google", *self.dice.choice(((), (7,), (0, "d1.google.example"))))
        fault = Fault("rule", "421 slow down", "mx", now)
        until_ = now + self.dice.randrange(10, 400)
        row = Throttle(subject=subject, suspended_until=until_, fault=fault, changed_at=now)
        self.way.regulator.throttles.load([row], now)
        self.way.dispatcher.reshaped()

    def lift(self):
        throttles, now = self.way.regulator.throttles, clock.now_ms()
        for each in throttles.live():
            throttles.lift(each.subject, now, by="ann", reason="test")
        self.reshaped()

    def reshaped(self):
        self.way.dispatcher.reshaped()
        self.way.sender.rouse_all()

    def refuse(self):
        script = self.dice.choice(self.receivers).script
        point = self.dice.choice((Point.GREETING, Point.RCPT, Point.DOT, Point.MAIL))
        said = self.dice.choice(("451 4.3.0 later", Action.DROP, "421 4.7.0 too many"))
        script.once.setdefault(point, []).extend([said] * self.dice.randrange(1, 4))

    def clear_up(self):
        self.fine = True
        for receiver in self.receivers:
            receiver.script.once.clear()
        self.calm()
        self.lift()


def routes(way, receivers, dead_port):
    """Domains of one named receiver with two sites, of two without a name, one dead, one unknown."""
    google = [site_on(r.port, f"mx{n}.google.lab") for n, r in enumerate(receivers[:2])]
    for n in range(12):
        way.router.special[f"d{n}.google.example"] = google[n % 2]
        way.router.special[f"d{n}.example"] = site_on(receivers[2].port, "mx.other.lab")
    # Asked anew each time, so that it may come back to life.
    way.router.special["dead.example"] = replace(site_on(dead_port, "mx.dead.lab"), expires_at=1)
    way.router.special["gone.example"] = RouteError(Reply(550, "5.1.2", "no such domain"))


def people(dice):
    domains = [
        *(f"d{n}.google.example" for n in range(12)),
        *(f"d{n}.example" for n in range(12)),
        "dead.example",
        "gone.example",
    ]
    count = dice.randrange(1, 5)
    return tuple(f"u{dice.randrange(40)}@{dice.choice(domains)}" for _ in range(count))


async def send(way, dice):
    tenant = TENANTS[dice.choice((7, 8))]
    mode = dice.choice((ReturnPathMode.MESSAGE, ReturnPathMode.RECIPIENT))
    login = credential(
        id=4, tenant_id=tenant.id, from_policy=FromPolicy.ANY, return_path_mode=mode, dsn=False
    )
    to = tuple(dict.fromkeys(people(dice)))
    return await way.send(tenant=tenant, credential=login, recipients=to), len(to)


@pytest.mark.parametrize(("seed", "octets"), [(1, 1 << 20), (2, 2000), (3, 0)])
async def test_whatever_goes_wrong_everything_ends_once_and_nothing_leaks(
    tmp_path, seed, octets, caplog
):
    caplog.set_level("CRITICAL")
    dice, store = random.Random(seed), MemoryStore()
    schedule = replace(SCHEDULE, waits=(20, 40), lifetime=600_000, bulk_lifetime=600_000)
    mxs = [Receiver(), Receiver(), Receiver(Script(close_after=3))]
    async with (
        mxs[0],
        mxs[1],
        mxs[2],
        open_way(
            tmp_path,
            1,
            shaping=SHAPING,
            store=store,
            schedule=schedule,
            max_recipients=120,
            max_connections=5,
        ) as way,
    ):
        way.change(egress=PLAN, tenants=TENANTS, warmup=WARMUP)
        way.window._max_bytes = octets
        closed = Receiver()
        await closed.start()
        dead = closed.port
        await closed.stop()
        routes(way, mxs, dead)
        weather = Weather(way, mxs, seed)
        steps = asyncio.create_task(every_second(way))
        sent = {}
        for n in range(MESSAGES):
            number, count = await send(way, dice)
            sent[number] = count
            if n % 3 == 0:
                weather.blow()
            if n % 10 == 0:
                await asyncio.sleep(0.02)
        weather.clear_up()
        async with Receiver() as revived:
            way.router.special["dead.example"] = site_on(revived.port, "mx.revived.lab")
            await until(lambda: all_final(way, sent), seconds=60)
            assert await ended_once(way) == sent
            await until(lambda: at_zero(way), seconds=10)
        steps.cancel()
        await asyncio.gather(steps, return_exceptions=True)
        assert_nobody_got_it_twice([*mxs, revived])
        [used] = store._used.values()
        from_cold = [m for mx in mxs[:2] for m in mx.messages if m.helo == "cold.lab"]
        assert 0 < sum(len(m.recipients) for m in from_cold) <= used <= 40


async def every_second(way):
    """As the roof does, only faster."""
    while True:
        await asyncio.sleep(0.05)
        now = clock.now_ms()
        if way.regulator.throttles.step(now):
            way.dispatcher.reshaped()
            way.sender.rouse_all()
        if await way.regulator.ledger.step(now):
            way.dispatcher.reopen(lambda place: place[0] == "warmup")
        way.regulator.tidy(now)


async def all_final(way, sent):
    for number, count in sent.items():
        found = await way.statuses(number)
        assert len(found) == count
        if not set(found) <= FINAL:
            return False
    return True


async def ended_once(way):
    """By message: how many of its recipients ended; each must have done so once."""
    rows = await way.shard.call(lambda store, _: store.events(0, 100_000))
    ends = Counter((row.message_id, row.n) for row in rows if row.kind in FINAL)
    assert set(ends.values()) == {1}
    return Counter(number for number, _ in ends)


def at_zero(way):
    """Nothing is in memory any more, and nothing that was counted up was not counted down."""
    ledger = way.regulator.ledger
    return [
        way.dispatcher.in_memory,
        way.window.held_bytes + way.window.read_back.held,
        len(way.dispatcher.lanes),
        len(way.dispatcher.backlog),
        len(way.dispatcher.blocked()),
        way.sender.connections,
        len(way.regulator.flows()),
        way.results.outstanding,
        sum(usage.promised + usage.in_hand for usage in ledger.describe(clock.now_ms())),
    ] == [0] * 9


def assert_nobody_got_it_twice(receivers):
    """The return path names the message."""
    got = Counter(
        (message.mail_from.removeprefix("b").partition("-")[0], address)
        for receiver in receivers
        for message in receiver.messages
        for address in message.recipients
    )
    assert [one for one, times in got.items() if times > 1] == []
