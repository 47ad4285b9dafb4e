"""Whatever is given up without an attempt is told to its sender, as what was given up after one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreFullError
from appliance.lab.receiver import Receiver
from mta.directory import KillSwitch
from mta.message import RecipientRequest, ReturnPathMode
from mta.scheduling.blocked import SITE, Blocked
from mta.scheduling.operations import Action as Do
from mta.spool.questions import QueueFilter
from tests.support.submissions import credential, submission
from tests.support.way import LETTER, SCHEDULE, open_way, site_on, until

SOON = replace(SCHEDULE, waits=(300,), lifetime=1500, bulk_lifetime=1500)
STOP = KillSwitch(by="ann", at=1, reason="look at it")
ENDED = {"expired", "corrupt"}


@asynccontextmanager
async def dead_end(location, **options):
    """Nobody answers at the domains written to; the sender's own takes notices."""
    closed = Receiver()
    await closed.start()
    await closed.stop()
    async with Receiver() as mx, open_way(location, closed.port, **options) as way:
        way.router.special["shop.example.com"] = site_on(mx.port, "mx.sender")
        yield way, mx


async def have_ended(way, ids):
    return all([set(await way.statuses(number)) <= ENDED for number in ids])


async def quiet(way):
    """Nothing is on its way any more."""
    await until(lambda: way.results.outstanding == 0)
    await until(lambda: len(way.dispatcher.backlog) == 0)


async def kinds_of(way):
    return [kind for kind, _ in await way.events()]


async def test_all_that_expires_behind_a_receiver_that_does_not_answer_is_told(location):
    async with dead_end(location, schedule=SOON) as (way, mx):
        ids = [await way.send(recipients=(f"u{n}@dead.example",)) for n in range(12)]
        await until(lambda: have_ended(way, ids), 10)
        await until(lambda: mx.count == 12)
        kinds = await kinds_of(way)
        rows = [r for n in ids for r in await way.shard.call(lambda s, _, n=n: s.recipients(n))]
        assert kinds.count("expired") == 12
    untried = [r for r in rows if r.attempts == 0]
    assert untried, "some never had an attempt"
    [text] = [m.data for m in mx.messages if untried[0].address.encode() in m.data]
    assert b"Status: 4.4.7" in text
    assert b"given up after waiting" in text
    assert b"Last-Attempt-Date" not in text


async def test_one_that_waited_alone_is_told_in_the_commit_of_its_end(tmp_path):
    async with dead_end(tmp_path, schedule=SOON) as (way, _mx):
        number = await at_rest(way)
        await until(lambda: have_ended(way, [number]))
        assert (await kinds_of(way))[1:3] == ["accepted", "expired"]


async def at_rest(way, **changes):
    """A message whose life is over, and that never had an attempt: its receiver does not answer."""
    place, now = way.dispatcher.planner.place, clock.now_ms()

    def placed(recipient, *others):
        if recipient.domain == "shop.example.com":
            return place(recipient, *others)
        return Blocked((SITE, "default", "dead"), 0, "nobody answers there")

    way.dispatcher.planner.place = placed
    changes = {"data": LETTER, "received_at": now - clock.DAY} | changes
    return await way.intake.accept(submission(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"envelope_from": ""}, {"credential": credential(dsn=False)}],
    ids=["null sender", "no notices for this login"],
)
async def test_who_gets_no_notices_gets_none(tmp_path, changes):
    async with dead_end(tmp_path, schedule=SOON) as (way, mx):
        one = await at_rest(way, **changes)
        await until(lambda: have_ended(way, [one]))
        await quiet(way)
        assert await kinds_of(way) == ["accepted", "expired"]
    assert mx.count == 0


async def test_who_asked_for_none_with_notify_gets_none(tmp_path):
    never = RecipientRequest(address="jane@example.net", notify="NEVER")
    async with dead_end(tmp_path, schedule=SOON) as (way, mx):
        accept = way.intake.accept
        way.intake.accept = lambda sent: accept(replace(sent, recipients=(never,)))
        one = await at_rest(way)
        await until(lambda: have_ended(way, [one]))
        await quiet(way)
        assert await kinds_of(way) == ["accepted", "expired"]
    assert mx.count == 0


async def test_the_limit_of_notices_holds_for_what_expires_at_rest(tmp_path):
    async with dead_end(tmp_path, schedule=SOON, notices_per_hour=2) as (way, mx):
        ids = [await at_rest(way) for _ in range(5)]
        await until(lambda: have_ended(way, ids))
        await until(lambda: mx.count == 2)
        [summary] = way.notices.summaries(clock.now_ms() + clock.HOUR)
    assert b"3 failure notices were" in summary.content


async def test_mail_whose_content_is_lost_is_told(tmp_path):
    async with dead_end(tmp_path) as (way, mx):
        way.window._max_bytes = 0
        way.change(kill_switch=STOP)
        number = await way.send()
        await way.shard.call(lambda store, _: drop_content(store))
        way.router.port = mx.port
        way.change(kill_switch=None)
        await until(lambda: have_ended(way, [number]))
        await until(lambda: mx.count == 1)
        assert await kinds_of(way) == ["accepted", "accepted", "corrupt", "delivered"]
    assert b"Status: 5.3.0" in mx.messages[0].data
    assert b"its content is gone from the spool, or damaged" in mx.messages[0].data


def drop_content(store):
    store._connection.execute("DELETE FROM content")


async def held(way, **changes):
    """A message with two recipients that both are held."""
    way.change(kill_switch=STOP)
    people = ("a@one.example", "b@one.example")
    number = await way.send(recipients=people, **changes)
    await way.operations.act(Do.HOLD, QueueFilter(message_id=number), by="ann")
    way.change(kill_switch=None)
    return number


async def test_what_is_held_until_its_life_is_over_is_told_in_the_same_commit(location):
    async with dead_end(location) as (way, mx):
        ids = [await held(way) for _ in range(3)]
        later = clock.now_ms() + clock.DAY
        assert await way.results.held.expire(clock.now_ms()) == 0
        assert await way.results.held.expire(later) == 6
        assert await have_ended(way, ids)
        await until(lambda: mx.count == 3)
        kinds = await kinds_of(way)
        assert (kinds.count("expired"), kinds.count("accepted")) == (6, 3 + 3)
        assert await way.results.held.expire(later) == 0
    text = mx.messages[0].data
    assert text.count(b"Action: failed") == 2
    assert b"held until its life was over" in text


async def test_held_mail_that_wants_no_notice_expires_without_one(tmp_path):
    async with dead_end(tmp_path) as (way, mx):
        number = await held(way, envelope_from="")
        assert await way.results.held.expire(clock.now_ms() + clock.DAY) == 2
        assert await have_ended(way, [number])
        assert (await kinds_of(way)).count("accepted") == 1
    assert mx.count == 0


class Between:
    """A shard between whose second call and the first something happens."""

    def __init__(self, shard, happens):
        self._shard, self._happens, self.calls = shard, happens, 0

    def __getattr__(self, name):
        return getattr(self._shard, name)

    async def call(self, work):
        self.calls += 1
        if self.calls == 2:
            await self._happens()
        return await self._shard.call(work)


async def test_nobody_is_told_of_the_end_of_mail_that_was_released_at_that_moment(tmp_path):
    async with dead_end(tmp_path) as (way, mx):
        number = await held(way)
        one = QueueFilter(message_id=number, n=1)
        way.results.held._shard = Between(
            way.shard, lambda: way.operations.act(Do.RELEASE, one, by="ann")
        )
        assert await way.results.held.expire(clock.now_ms() + clock.DAY) == 1
        assert (await way.statuses(number))[0] == "expired"
        assert (await kinds_of(way)).count("accepted") == 1
    assert mx.count == 0


async def test_held_mail_is_given_up_and_told_later_when_the_disk_was_full(tmp_path):
    async def full():
        raise StoreFullError("no space left")

    async with dead_end(tmp_path) as (way, mx):
        number = await held(way)
        way.results.held._shard = Between(way.shard, full)
        with pytest.raises(StoreFullError):
            await way.results.held.expire(clock.now_ms() + clock.DAY)
        assert await way.statuses(number) == ["held", "held"]
        assert await way.results.held.expire(clock.now_ms() + clock.DAY) == 2
        await until(lambda: mx.count == 1)


async def test_one_notice_tells_of_all_that_expired_together(tmp_path):
    shared = credential(return_path_mode=ReturnPathMode.MESSAGE)
    people = ("a@example.net", "b@example.net")
    async with dead_end(tmp_path, schedule=SOON) as (way, mx):
        number = await at_rest(way, credential=shared, recipients=people)
        await until(lambda: have_ended(way, [number]))
        await until(lambda: mx.count == 1)
    assert mx.messages[0].data.count(b"Action: failed") == 2
