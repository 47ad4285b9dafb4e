"""One damaged row of a spool stops nobody else's mail: not at start, not later, and nobody's look at it."""

from __future__ import annotations

from collections import Counter

import pytest

from appliance.core import clock
from appliance.lab.receiver import Receiver
from mta.directory import KillSwitch
from mta.scheduling.census import By
from mta.scheduling.dispatcher import KEYS_A_STEP
from mta.spool.errors import DamagedError
from mta.spool.questions import FIRST, QueueFilter
from mta.spool.store import QueueKey
from tests.support.way import open_way, until

KEY = QueueKey(7, "transactional", "bad.example")
STOP = KillSwitch(by="ann", at=1, reason="look at it")
NO_TEXT = "CAST(x'ff41' AS TEXT)"
DAMAGE = {
    "tags": "UPDATE message SET tags = '[\"a\"' WHERE id = {}",
    "source": "UPDATE message SET source = 'smtq' WHERE id = {}",
    "subject": f"UPDATE message SET subject = {NO_TEXT} WHERE id = {{}}",
    "reason": f"UPDATE recipient SET reason = {NO_TEXT} WHERE message_id = {{}}",
    "expiry": "UPDATE recipient SET expires_at = 'x' WHERE message_id = {}",
    "class, first": "UPDATE recipient SET traffic_class = 'aulk' WHERE message_id = {}",
    "class, last": "UPDATE recipient SET traffic_class = 'zulk' WHERE message_id = {}",
    "domain": f"UPDATE recipient SET domain = {NO_TEXT} WHERE message_id = {{}}",
}
BOTH_DATABASES = ("tags", "source", "class, first")


async def waiting(way, number, count=KEYS_A_STEP + 4):
    """One message that will be damaged and so many that will not, each under a key of its own."""
    way.change(kill_switch=STOP)
    bad = await way.send(recipients=("a@bad.example",))
    good = [await way.send(recipients=(f"x@d{n}.example",)) for n in range(count)]
    good.append(await way.send(recipients=("b@bad.example",)))  # beside it
    await way.shard.call(lambda store, _: run(store, DAMAGE[number].format(bad)))
    return bad, good


def run(store, sql):
    store._connection.execute(sql)


async def are(way, ids, **wanted):
    return Counter([s for number in ids for s in await way.statuses(number)]) == wanted


def told(caplog):
    return [r.getMessage() for r in caplog.records if "stays where it is" in r.getMessage()]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_after_a_restart_all_others_leave_and_one_line_tells_of_it(tmp_path, caplog, damage):
    async with Receiver() as mx:
        async with open_way(tmp_path, mx.port) as way:
            bad, good = await waiting(way, damage)
        async with open_way(tmp_path, mx.port) as way:
            await until(lambda: are(way, good, delivered=len(good)))
            late = await way.send(recipients=("c@bad.example",))  # its key is read once more
            await until(lambda: are(way, [late], delivered=1))
            way.dispatcher.rewind(KEY, 1)
            await until(lambda: len(way.dispatcher.backlog) == 0)
            rows = await way.shard.call(lambda store, _: status_of(store, bad))
            assert (rows, mx.count) == (["queued"], len(good) + 1)
    assert len(told(caplog)) == 1, told(caplog)


def status_of(store, number):
    sql = f"SELECT status FROM recipient WHERE message_id = {number}"
    return [row[0] for row in store._connection.execute(sql).fetchall()]


@pytest.mark.parametrize("damage", BOTH_DATABASES)
async def test_on_both_databases_mail_of_a_running_box_goes_on(location, caplog, damage):
    async with Receiver() as mx, open_way(location, mx.port) as way:
        bad, good = await waiting(way, damage)
        way.change(kill_switch=None)
        await until(lambda: are(way, good, delivered=len(good)))
        rows = await way.shard.call(lambda store, _: status_of(store, bad))
        assert rows == ["queued"]
    assert len(told(caplog)) <= 1


@pytest.mark.parametrize("damage", DAMAGE)
async def test_people_look_at_the_queue_beside_it(tmp_path, damage):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        bad, good = await waiting(way, damage, count=3)
        found = await way.operations.find(QueueFilter(), FIRST, 100)
        assert {r.message_id for r in found} - {bad} == set(good)
        for by in (By.DOMAIN, By.EGRESS, By.TENANT, By.REASON):
            counted = await way.operations.census.summary(by)
            assert sum(counted.counts.values()) == 5
        tagged = await way.operations.find(QueueFilter(tag="x"), FIRST, 100)
        assert tagged == []
        with pytest.raises(DamagedError):
            await way.operations.show(bad)
        assert (await way.operations.show(good[0])).message.id == good[0]
        assert await way.results.held.expire(clock.now_ms() + clock.DAY) == 0
