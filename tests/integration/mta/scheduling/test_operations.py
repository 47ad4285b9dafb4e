"""People's hands on waiting mail: every action by every filter, and what waits, counted; on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.core import clock
from appliance.core.errors import NotFoundError, UsageError
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script
from mta.directory import FromPolicy, KillSwitch, Tenant
from mta.egress import Member, Pool
from mta.message import Egress
from mta.outcome.decide import RetrySchedule
from mta.scheduling import operations
from mta.scheduling.census import By
from mta.scheduling.operations import Action, Turn
from mta.scheduling.why import Why
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
ADDRESSES = [
    Egress(name=f"out{n}", address=f"127.0.0.{10 + n}", helo=f"out{n}.lab", ipv6=False)
    for n in (1, 2)
]
PLAN = egress_plan(
    *ADDRESSES,
    pools=(
        Pool(name="main", members=(Member(egress="out1"),)),
        Pool(name="warm", members=(Member(egress="out2"),)),
        Pool(name="own", tenant_id=8, members=(Member(egress="out2"),)),
    ),
    default_pool="main",
)
OTHER = Tenant(id=8, name="other")
STOP = KillSwitch(by="ann", at=1, reason="stop")
LATER = Script(always={Point.RCPT: "451 4.7.1 not now"})

# Which of two waiting messages each filter means: the first is of tenant 8, tagged, to Google, and tried.
FILTERS = [
    {"tenant_id": 8},
    {"credential_id": 5},
    {"domain": "gmail.lab"},
    {"address": "joe@gmail.lab"},
    {"site": "mx.google.lab"},
    {"provider": "google"},
    {"tag": "news"},
    {"egress": "out1"},
    {"provider": "google", "tag": "news", "tenant_id": 8},
    {"attempts": 1, "sender_domain": "shop.EXAMPLE.com", "before": 1 << 42},
]


async def two_that_wait(way):
    """One to Google that was tried from out1 and deferred, one that was not tried yet."""
    site = replace(
        site_on(way.router.port, "mx.google.lab"), expires_at=clock.now_ms() + clock.HOUR
    )
    way.router.special["gmail.lab"] = site
    way.change(egress=PLAN, tenants={7: Tenant(id=7, name="acme"), 8: OTHER})
    login = credential(id=5, tenant_id=8, from_policy=FromPolicy.ANY)
    data = b"X-Pillarbox-Tag: news\r\n" + LETTER
    meant = await way.send(data, tenant=OTHER, credential=login, recipients=("joe@gmail.lab",))
    await until(lambda: _is(way, meant, "deferred"))
    way.change(kill_switch=STOP)
    return meant, await way.send()


async def _is(way, number, *statuses):
    return await way.statuses(number) == list(statuses)


async def _pools(way, number):
    found = await way.shard.call(lambda store, _: store.recipients(number))
    return [one.pool for one in found]


@pytest.mark.parametrize("wanted", FILTERS, ids="+".join)
async def test_a_filter_means_what_it_names_and_nothing_else(location, wanted):
    async with Receiver(LATER) as mx, open_way(location, mx.port, shaping=SHAPING) as way:
        meant, other = await two_that_wait(way)
        only = QueueFilter(**wanted)
        assert [r.message_id for r in await way.operations.find(only, (-1, -1), 10)] == [meant]
        for action, became, stays in (
            (Action.HOLD, "held", "queued"),
            (Action.RELEASE, "queued", "queued"),
            (Action.CANCEL, "cancelled", "queued"),
        ):
            done = await way.operations.act(action, only, by="ann")
            assert done.changed == 1, action
            assert await _is(way, meant, became)
            assert await _is(way, other, stays)
        events = [kind for kind, _ in await way.events()]
        assert events[-3:] == ["held", "released", "cancelled"]


async def test_rerouted_mail_leaves_from_the_other_pool(location):
    async with PeerReceiver(LATER) as mx, open_way(location, mx.port, shaping=SHAPING) as way:
        meant, other = await two_that_wait(way)
        only = QueueFilter(provider="google")
        done = await way.operations.act(Action.REROUTE, only, by="ann", pool="warm")
        assert (done.changed, await _pools(way, meant)) == (1, ["warm"])
        assert (await way.operations.act(Action.REROUTE, only, by="ann", pool="warm")).changed == 0
        mx.script = Script()
        way.change(kill_switch=None)
        await way.operations.act(Action.RETRY, only, by="ann")
        await until(lambda: _is(way, meant, "delivered"))
        await until(lambda: _is(way, other, "delivered"))
        assert mx.taken() == {"127.0.0.11": 1, "127.0.0.12": 1}
        assert ("rerouted", 0) in await way.events()


async def test_held_mail_is_rerouted_too_and_ready_mail_leaves_its_lane(tmp_path):
    async with PeerReceiver() as mx, open_way(tmp_path, mx.port, shaping=SHAPING) as way:
        way.change(egress=PLAN)
        way.sender._draining = True  # what is ready stays in its lane
        number = await way.send()
        await until(lambda: way.dispatcher.in_memory == 1)
        everything = QueueFilter()
        done = await way.operations.act(Action.REROUTE, everything, by="ann", pool="warm")
        assert done.changed == 1
        assert (await way.operations.act(Action.HOLD, everything, by="ann")).changed == 1
        assert (await way.operations.act(Action.REROUTE, everything, by="ann")).changed == 1
        assert await _pools(way, number) == [""]
        await way.operations.act(Action.REROUTE, everything, by="ann", pool="warm")
        way.sender._draining = False
        await way.operations.act(Action.RELEASE, everything, by="ann")
        await until(lambda: _is(way, number, "delivered"))
        assert mx.taken() == {"127.0.0.12": 1}


async def test_a_pool_must_be_there_and_be_the_tenants(tmp_path):
    async with open_way(tmp_path, 1) as way:
        way.change(egress=PLAN)
        with pytest.raises(NotFoundError, match="there is no pool nosuch"):
            await way.operations.act(Action.REROUTE, QueueFilter(), by="ann", pool="nosuch")
        with pytest.raises(UsageError, match="kept for one tenant"):
            await way.operations.act(Action.REROUTE, QueueFilter(), by="ann", pool="own")


async def test_a_long_action_goes_turn_by_turn_and_leaves_new_mail_alone(location, monkeypatch):
    monkeypatch.setattr(operations, "PAGE", 4)
    async with open_way(location, 1) as way:
        way.change(kill_switch=STOP)
        old = [await way.send() for _ in range(10)]
        first = await way.operations.act(Action.HOLD, QueueFilter(), by="ann", turn=Turn(seconds=0))
        assert first.changed == 4
        new = await way.send()
        turn = Turn(after=first.after, upto=first.upto)
        second = await way.operations.act(Action.HOLD, QueueFilter(), by="ann", turn=turn)
        assert (second.changed, second.after) == (6, None)
        assert all([await _is(way, number, "held") for number in old])
        assert await _is(way, new, "queued")


async def test_mail_whose_attempt_runs_is_left_alone_and_counted(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        opened, go = way.sender._transport.open, asyncio.Event()

        async def slow_open(*given, **options):
            await go.wait()
            return await opened(*given, **options)

        way.sender._transport.open = slow_open
        number = await way.send()
        await until(lambda: way.operations.being_sent == 1)
        done = await way.operations.act(Action.CANCEL, QueueFilter(), by="ann")
        assert (done.changed, done.being_sent) == (0, 1)
        go.set()
        await until(lambda: _is(way, number, "delivered"))


async def test_a_provider_is_found_after_a_restart_though_nothing_was_looked_up_yet(location):
    async with open_way(location, 1, shaping=SHAPING) as way:
        way.change(kill_switch=STOP)
        meant, other = await way.send(recipients=("joe@gmail.lab",)), await way.send()
    async with open_way(location, 1, shaping=SHAPING) as way:
        way.change(kill_switch=STOP)
        way.router.special["gmail.lab"] = site_on(1, "mx.google.lab")
        done = await way.operations.act(Action.CANCEL, QueueFilter(provider="google"), by="ann")
        assert done.changed == 1
        assert await _is(way, meant, "cancelled")
        assert await _is(way, other, "queued")


# -- counting --------------------------------------------------------------------


async def test_what_waits_is_counted_by_anything_with_its_reason(location):
    async with Receiver(LATER) as mx, open_way(location, mx.port, shaping=SHAPING) as way:
        await two_that_wait(way)
        census = way.operations.census
        names = {
            By.DOMAIN: {"gmail.lab", "example.net"},
            By.SITE: {"mx.google.lab", ""},
            By.PROVIDER: {"google", ""},
            By.EGRESS: {"out1", ""},
            By.TENANT: {"acme", "other"},
        }
        for by, expected in names.items():
            found = await census.recent(by, 10)
            assert {group.name for group in found.groups} == expected, by
            assert found.counts == {"queued": 1, "deferred": 1}
            assert found.total == 2
        tried = next(
            g for g in (await census.recent(By.DOMAIN, 10)).groups if g.name == "gmail.lab"
        )
        assert (tried.provider, tried.status, tried.count) == ("google", "deferred", 1)
        assert (await census.recent(By.DOMAIN, 1)).total == 2


async def test_what_waits_is_counted_by_the_kind_of_reason(location):
    slow = RetrySchedule(
        waits=(20 * clock.MINUTE,), jitter=0.0, lifetime=clock.DAY, bulk_lifetime=clock.DAY
    )
    async with (
        Receiver(LATER) as mx,
        open_way(location, mx.port, shaping=SHAPING, schedule=slow) as way,
    ):
        _, other = await two_that_wait(way)
        census = way.operations.census
        stopped = await census.recent(By.DOMAIN, 10)
        assert [(r.kind, r.recipients, r.destinations) for r in stopped.reasons] == [
            (Why.STOPPED, 2, 2)
        ]
        assert stopped.due_soon == 0  # nothing is tried while everything is stopped
        way.sender._draining = True
        way.change(kill_switch=None)
        await way.operations.act(Action.HOLD, QueueFilter(message_id=other), by="ann")
        found = await census.recent(By.DOMAIN, 10)
        kinds = {reason.kind: (reason.example, reason.most) for reason in found.reasons}
        assert kinds == {Why.REFUSED: ("gmail.lab", 1), Why.HELD: ("example.net", 1)}
        tried = (await census.recent(By.DOMAIN, 10, Why.REFUSED)).groups[0]
        assert (tried.words, tried.egress) == ("451 4.7.1 not now", "out1")
        assert (tried.until, found.due_soon) == (0, 1)
        assert found.oldest_waiting == tried.oldest
        await way.operations.act(Action.HOLD, QueueFilter(), by="ann")
        held = await census.recent(By.DOMAIN, 10)
        assert (held.oldest, held.oldest_waiting, held.due_soon) == (tried.oldest, 0, 0)
        await way.operations.act(Action.RELEASE, QueueFilter(tenant_id=8), by="ann")
        by_reason = await census.recent(By.REASON, 10)
        assert {group.name: group.count for group in by_reason.groups} == {"leaving": 1, "held": 1}
        assert (await census.of_tenant(8, By.REASON, 10)).groups[0].name == "leaving"
        assert (await census.recent(By.DOMAIN, 10, Why.WARMUP)).total == 0


async def test_reasons_of_more_destinations_than_are_looked_at_are_not_made_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("mta.scheduling.census.LOOKED_AT", 1)
    async with open_way(tmp_path, 1) as way:
        way.change(kill_switch=STOP)
        await way.send(recipients=("a@one.lab", "b@one.lab", "a@two.lab", "a@three.lab"))
        found = await way.operations.census.recent(By.DOMAIN, 10)
        counted = [(r.kind, r.recipients, r.destinations) for r in found.reasons]
        assert counted == [(Why.NOT_LOOKED_AT, 2, 2), (Why.STOPPED, 2, 1)]
        assert (found.total, len(found.groups)) == (3, 1)


async def test_one_tenants_mail_is_counted_alone(location, monkeypatch):
    monkeypatch.setattr("mta.spool.questions.SLICE", 1)  # over many slices
    async with open_way(location, 1, shaping=SHAPING) as way:
        other = Tenant(id=8, name="other")
        way.change(kill_switch=STOP, tenants={7: Tenant(id=7, name="acme"), 8: other})
        theirs = credential(id=5, tenant_id=8, from_policy=FromPolicy.ANY)
        both = ("a@gmail.lab", "a@example.net", "b@gmail.lab")
        await way.send(recipients=both)
        await way.send(tenant=other, credential=theirs, recipients=both[2:])
        census = way.operations.census
        whole = await census.recent(By.DOMAIN, 10)
        mine, its, nobody = [await census.of_tenant(n, By.DOMAIN, 10) for n in (7, 8, 9)]
        assert whole.counts == {"queued": 4}
        counted = {group.name: group.count for group in mine.groups}
        assert counted == {"gmail.lab": 2, "example.net": 1}
        assert [(group.name, group.count) for group in its.groups] == [("gmail.lab", 1)]
        assert (nobody.groups, nobody.counts) == ((), {})
        with pytest.raises(UsageError, match="by egress"):
            await census.of_tenant(7, By.EGRESS, 10)


async def test_who_asks_again_after_a_long_count_gets_the_last_one_at_once(tmp_path, monkeypatch):
    async with open_way(tmp_path, 1) as way:
        way.change(kill_switch=STOP)
        await way.send()
        census = way.operations.census
        assert (await census.recent(By.DOMAIN, 10)).counts == {"queued": 1}
        monkeypatch.setattr("mta.scheduling.census.PATIENCE", 0.0)  # counting takes too long
        await way.send()
        assert (await census.recent(By.DOMAIN, 10)).counts == {"queued": 1}

        async def counted_anew():
            return (await census.latest(10)).counts == {"queued": 2}

        await until(counted_anew)


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize(
    "action", [Action.REROUTE, Action.RETRY, Action.HOLD, Action.CANCEL, Action.RELEASE]
)
async def test_mail_that_an_action_did_not_change_goes_on_as_if_nobody_had_asked(
    tmp_path, action, ready, monkeypatch
):
    """It has the pool already, or somebody else was faster."""

    def nothing(*_):
        return lambda _store, _batch: []

    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(egress=PLAN)
        way.sender._places._most = 0
        if not ready:
            way.window._max_recipients = 0
        number = await way.send()
        await until(lambda: way.dispatcher.in_memory == int(ready))
        if action is not Action.REROUTE:
            monkeypatch.setattr(operations, "change_of", nothing)
        done = await way.operations.act(action, QueueFilter(), by="ann", pool="")
        assert done.changed == 0
        way.window._max_recipients = 1000
        way.sender._places._most = 8
        way.dispatcher.reopen(lambda _: True)
        way.sender.rouse_all()
        await until(lambda: _is(way, number, "delivered"))
        assert mx.count == 1


async def test_mail_that_a_page_passed_over_for_an_action_that_changed_nothing_is_read_again(
    tmp_path,
):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(egress=PLAN, kill_switch=STOP)
        number = await way.send()
        call, asked, go = way.shard.call, asyncio.Event(), asyncio.Event()

        class Slow:
            calls = 0

            def __getattr__(self, name):
                return getattr(way.shard, name)

            async def call(self, work):
                self.calls += 1
                if self.calls == 2:  # the change itself
                    asked.set()
                    await go.wait()
                return await call(work)

        way.operations._shard = Slow()
        acting = asyncio.create_task(
            way.operations.act(Action.REROUTE, QueueFilter(message_id=number), by="ann", pool="")
        )
        await asked.wait()
        way.change(kill_switch=None)
        await until(lambda: not len(way.dispatcher.backlog))  # read, passed over, and all was read
        go.set()
        assert (await acting).changed == 0
        await until(lambda: _is(way, number, "delivered"))
