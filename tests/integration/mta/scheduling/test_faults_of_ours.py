"""Mistakes of ours, and receivers that take no more connections: mail waits, nothing spins, nothing is lost."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace

from appliance.core import clock
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script
from mta.directory import FromPolicy, Tenant
from mta.message import Egress
from mta.scheduling import dispatcher as module
from mta.shaping.book import parse_book
from mta.shaping.throttle import Fault, Subject, Throttle
from tests.support.submissions import credential
from tests.support.way import FAST, egress_plan, open_way, until


async def states_of(way, ids):
    return Counter([state for number in ids for state in await way.statuses(number)])


async def nobody_s_port():
    closed = Receiver()
    await closed.start()
    await closed.stop()
    return closed.port


async def test_a_task_that_always_crashes_is_begun_again_slowly_and_costs_an_attempt_each_time(
    tmp_path, caplog
):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        opened, crashes = way.sender._transport.open, []

        async def crash(*_, **__):
            crashes.append(clock.now_ms())
            raise ValueError("a mistake in the transport")

        way.sender._transport.open = crash
        ids = [await way.send() for _ in range(30)]
        await until(lambda: crashes)
        await asyncio.sleep(0.5)
        seconds = (clock.now_ms() - crashes[0]) / 1000
        bursts = 1 + math.floor(math.log2(1 + seconds))  # after one second, two, four
        assert len(crashes) <= 4 * bursts, "as many as there are connections, then a pause"
        logged = [record for record in caplog.records if record.getMessage().startswith("lane ")]
        assert len(logged) <= len(crashes)
        way.sender._transport.open = opened
        await until(lambda: states_are(way, ids, delivered=30), seconds=20)
        assert way.sender.connections <= 4
    assert mx.count == 30


async def states_are(way, ids, **wanted):
    return await states_of(way, ids) == wanted


async def test_a_crash_on_a_connection_sends_nobody_s_mail_twice(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        opened, left = way.sender._transport.open, [3]

        async def open_one(*asked, **more):
            connection = await opened(*asked, **more)
            send = connection.send

            async def send_or_crash(envelope):
                left[0] -= 1
                if left[0] == 0:
                    raise ValueError("a mistake in a connection")
                return await send(envelope)

            connection.send = send_or_crash
            return connection

        way.sender._transport.open = open_one
        ids = [await way.send() for _ in range(12)]
        await until(lambda: states_are(way, ids, delivered=12), seconds=20)
        await until(lambda: mx.open_sessions == 0), "the connection that crashed was closed"
        assert way.dispatcher.in_memory == 0
    assert Counter(m.mail_from for m in mx.messages).most_common(1)[0][1] == 1


async def test_a_crash_over_an_outcome_s_notice_or_metric_does_not_lose_the_outcome(tmp_path):
    def crash(*_):
        raise ValueError("a mistake of who looks on")

    script = Script(recipients={"gone@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        way.witness.outcome = way.notices.for_outcomes = way.results._heard = crash
        number = await way.send(recipients=("jane@example.net", "gone@example.net"))
        await until(lambda: states_are(way, [number], delivered=1, bounced=1))
        await asyncio.sleep(0.5)
    assert mx.count == 1


async def test_a_page_over_which_something_crashed_is_read_again(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        room, crashes = way.dispatcher.planner.room, [1]

        def crash_once(*asked):
            if crashes:
                crashes.pop()
                raise ValueError("a mistake in the planner")
            return room(*asked)

        await way.send()
        await until(lambda: mx.count == 1)
        way.dispatcher.planner.room = crash_once
        way.window._max_recipients = 0
        number = await way.send()
        way.window._max_recipients = 1000
        way.dispatcher.rewind(way.dispatcher.backlog._keys.copy().popitem()[0], 1)
        await until(lambda: states_are(way, [number], delivered=1))


async def test_where_nobody_answers_each_connection_costs_one_attempt_and_the_rest_waits(tmp_path):
    dead = await nobody_s_port()
    async with open_way(tmp_path, dead) as way:
        way.sender._places._most = 0
        ids = [await way.send() for _ in range(60)]
        await until(lambda: sum(map(len, way.dispatcher.lanes)) == 60)
        way.sender._places._most = 8
        way.sender.rouse_all()
        await until(lambda: way.dispatcher.in_memory == 0)
        found = await states_of(way, ids)
        assert found["deferred"] <= 4
        assert found["queued"] == 60 - found["deferred"]
        [(blocked, keys)] = way.dispatcher.blocked()
        assert keys == 1
        assert "has taken no connection since" in blocked.why


async def test_a_receiver_that_takes_one_connection_only_gets_all_mail_over_that_one(tmp_path):
    class OneAtATime(dict):
        def get(self, point, default=None):
            is_second = point is Point.GREETING and mx.open_sessions > 1
            return "421 4.7.0 too many connections" if is_second else default

    script = Script(always=OneAtATime(), delays={Point.DOT: 0.01})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        ids = [await way.send() for _ in range(100)]
        await until(lambda: states_are(way, ids, delivered=100), seconds=20)
        kinds = Counter(kind for kind, _ in await way.events())
    # Three others are tried at first, then one after a second, after two, after four.
    assert kinds["deferred"] < 20


async def test_fewer_connections_are_allowed_and_those_that_are_too_many_end(tmp_path):
    script = Script(delays={Point.DOT: 0.02})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        ids = [await way.send() for _ in range(120)]
        await until(lambda: mx.open_sessions == 4)
        [flow] = way.regulator.flows()
        now = clock.now_ms()
        row = Throttle(
            subject=Subject(flow.egress, flow.zone.key),
            connections=1,
            fault=Fault("rule", "421 too many", "mx", now),
            changed_at=now,
        )
        way.regulator.throttles.load([row], now)
        way.dispatcher.reshaped()
        await until(lambda: mx.open_sessions == 1)
        await until(lambda: states_are(way, ids, delivered=120), seconds=20)
    assert mx.open_sessions == 0


async def test_a_new_file_that_gives_a_site_to_a_provider_takes_its_lane_along(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.sender._places._most = 0
        ids = [await way.send() for _ in range(10)]
        await until(lambda: sum(map(len, way.dispatcher.lanes)) == 10)
        named = FAST + '[provider.lab]\ntitle = "Lab"\nmx = [".lab"]\n'
        book = parse_book(named, "test")
        way.regulator.book = lambda: book
        way.dispatcher.reshaped()
        assert [lane.zone.key for lane in way.dispatcher.lanes] == ["lab"]
        assert len(way.regulator.flows()) == 1
        way.sender._places._most = 8
        way.sender.rouse_all()
        await until(lambda: states_are(way, ids, delivered=10))
    assert mx.count == 10


async def test_an_address_that_changes_while_its_connection_breaks_leaves_no_mail_behind(tmp_path):
    """What is put back then would stand in a lane that nobody serves any more."""
    changed = egress_plan(Egress(name="default", address="", helo="new.lab", ipv6=False))
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await way.send()
        await until(lambda: way.dispatcher.in_memory == 0)
        [lane] = way.dispatcher.lanes
        [hand] = lane.hands
        send = hand.connection.send

        async def send_and_lose(envelope):
            way.change(egress=changed)
            mx.hang_up()
            return await send(envelope)

        hand.connection.send = send_and_lose
        number = await way.send()
        await until(lambda: states_are(way, [number], delivered=1))
        await until(lambda: way.sender.connections == 0)
        assert (lane.is_retired, len(lane), len(way.dispatcher.lanes)) == (True, 0, 0)
    assert mx.messages[-1].helo == "new.lab"


async def test_mail_behind_more_closed_keys_than_one_look_takes_goes_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOKS_A_STEP", 5)
    tenants = {
        7: Tenant(id=7, name="acme"),
        8: Tenant(id=8, name="stopped", suspended=True),
    }
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.window._max_recipients = 0
        way._loop.cancel()
        await asyncio.gather(way._loop, return_exceptions=True)
        login = credential(id=4, tenant_id=8, from_policy=FromPolicy.ANY)
        for number in range(40):
            to = (f"x@d{number}.example",)
            await way.send(tenant=Tenant(id=8, name="running"), credential=login, recipients=to)
        await way.send()
        way.directory = replace(way.directory, tenants=tenants)
        way.window._max_recipients = 1000
        turns = 0
        while await way.dispatcher.step():
            turns += 1
        await until(lambda: mx.count == 1)
        assert len(way.dispatcher.backlog.places()) == 1
        assert turns >= 8
