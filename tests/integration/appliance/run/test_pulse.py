"""One look at the box for all who watch, on both databases: who hears of what, and what it costs."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from sqlalchemy import event

from admin_ui.desks import Topic
from appliance.blocklists import Blocklists, Sighting, Target
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.history import FreshEvents
from appliance.history.read_outbox import read
from appliance.jobs import Jobs, Order, Step
from appliance.notices import Finding, Notices
from appliance.notifications import Notifications
from appliance.operations import Operations
from appliance.run import pulse as pulses
from appliance.run.pulse import Pulse
from appliance.suppressions import SuppressionList
from appliance.tenancy import Tenants
from tests.support.history import Outbox, outbox, writer

__all__ = ["outbox", "writer"]

BOX = Scope.system(by="test")
MAIL = {Topic.MESSAGES, Topic.QUEUE}


@pytest.fixture
def log_location(tmp_path):
    """One database does: the journal is read on both in tests/integration/appliance/history."""
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
async def pulse(engine, log_location):
    made = Pulse(engine, SuppressionList(engine), FreshEvents(log_location))
    yield made
    await made.close()


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(BOX, name="acme")).id


@pytest.fixture
async def beta(engine):
    return (await Tenants(engine).create(BOX, name="beta")).id


@pytest.fixture
async def hear(pulse, acme, beta):
    """Look, and say what acme, beta and the box heard."""
    async with AsyncExitStack() as stack:
        scopes = (Scope.tenant(acme), Scope.tenant(beta), BOX)
        watches = [await stack.enter_async_context(pulse.watch(scope)) for scope in scopes]

        async def look():
            await pulse.step()
            return [await watch.next(0) for watch in watches]

        yield look


async def test_each_change_reaches_whom_it_concerns_and_nobody_else(hear, engine, acme):
    assert await hear() == [set(), set(), set()]
    mine = Scope.tenant(acme, by="ada")

    await SuppressionList(engine).add(mine, "jane@good.test")
    assert await hear() == [both := {Topic.SUPPRESSIONS, Topic.AUDIT}, set(), both]

    notices = Notices(engine)
    await notices.raise_(
        BOX, Finding(kind="k", subject="s", text="t", next_step="n", tenant_id=acme)
    )
    assert await hear() == [{Topic.NOTIFICATIONS}, set(), {Topic.NOTIFICATIONS}]
    await Notifications(engine, notices).look(mine, 5, 1)
    assert await hear() == [{Topic.NOTIFICATIONS}, set(), {Topic.NOTIFICATIONS}]
    await notices.resolve(BOX, "k", "s", tenant_id=acme)
    assert await hear() == [{Topic.NOTIFICATIONS}, set(), {Topic.NOTIFICATIONS}]

    target = Target(egress="a", address="192.0.2.1")
    await Blocklists(engine).note_listed(
        BOX, Sighting(target=target, zone="zen.test", codes=("127.0.0.2",), text="")
    )
    assert await hear() == [set(), set(), {Topic.BLOCKLISTS}]

    await Operations(engine).kill(BOX, reason="spam")
    stopped = {Topic.SENDING, Topic.QUEUE}
    assert await hear() == [stopped, stopped, stopped | {Topic.AUDIT}]
    assert await hear() == [set(), set(), set()]


async def test_each_step_of_a_job_is_told_and_a_short_one_is_not_missed(hear, engine, acme):
    jobs, order = Jobs(engine), Order(kind="test", tenant_id=acme)
    await hear()
    await jobs.order(BOX, order)
    assert await hear() == [both := {Topic.JOBS, Topic.AUDIT}, set(), both]
    for step in (Step(done=1, total=2), Step(done=2, total=2)):
        taken = await jobs.take("worker")
        assert taken is not None
        assert await hear() == [told := {Topic.JOBS}, set(), told]
        await jobs.go_on(taken, "worker", step)
        assert await hear() == [told, set(), told]
    taken = await jobs.take("worker")
    assert taken is not None
    await jobs.go_on(taken, "worker", Step(result={}))
    assert await hear() == [told, set(), told]
    await jobs.order(BOX, order)
    short = await jobs.take("worker")
    assert short is not None
    await jobs.go_on(short, "worker", Step(result={}))
    assert await hear() == [both, set(), both]


async def test_mail_is_told_to_its_tenant_and_a_flood_to_everybody(
    hear, writer, outbox: Outbox, acme, monkeypatch
):
    async def ship():
        events, _ = read(0, outbox.take(), writer.today)
        writer.write(0, events)

    await hear()
    number = outbox.accept("jane@good.test", tenant=acme)
    outbox.tell(number, 0, "bounced", "jane@good.test", tenant=acme)
    await ship()
    told = MAIL | {Topic.BOUNCES}
    assert await hear() == [told, set(), told]
    monkeypatch.setattr(pulses, "MOST_EVENTS", 3)
    for _ in range(5):
        outbox.accept("jane@good.test", tenant=acme)
    await ship()
    assert await hear() == [told, told, told]
    assert await hear() == [set(), set(), set()]


async def test_a_thousand_who_watch_cost_one_statement_a_look(pulse, engine, acme):
    asked: list[str] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: asked.append(statement.partition(" ")[0]),
    )
    async with AsyncExitStack() as stack:
        for _ in range(1000):
            await stack.enter_async_context(pulse.watch(Scope.tenant(acme)))
        asked.clear()
        await pulse.step()
        assert [one for one in asked if one != "BEGIN"] == ["SELECT"]
    asked.clear()
    await pulse.step()
    assert asked == []


async def test_who_was_away_while_nobody_looked_hears_what_they_missed(pulse, engine, acme, beta):
    mine = Scope.tenant(acme)
    async with pulse.watch(mine):
        pass
    mark = pulse.now()
    await SuppressionList(engine).add(mine, "jane@good.test")
    pulse._looked_at = 0.0  # a while ago
    async with pulse.watch(mine, mark) as watch:
        assert Topic.SUPPRESSIONS in await watch.next(0)
    async with pulse.watch(mine) as watch, pulse.watch(Scope.tenant(beta), mark) as other:
        assert await watch.next(0) == set()
        assert await other.next(0) == set()


async def test_a_log_that_cannot_be_read_costs_the_topics_of_mail_alone(
    hear, pulse, engine, acme, monkeypatch, caplog
):
    def fails(*_):
        raise StoreError("the disk is gone")

    await hear()
    monkeypatch.setattr(pulse._events, "behind", fails)
    await Operations(engine).kill(BOX, reason="spam")
    assert Topic.SENDING in (await hear())[0]
    await hear()
    assert [record.message for record in caplog.records] == [
        "nobody hears of new events: the disk is gone"
    ]


async def test_a_process_that_is_restarted_is_told_to_the_box_alone(engine, log_location, acme):
    processes = {"mta-0": {"ok": True, "pid": 1, "beat_at": 1, "checks": {}}}

    async def health():
        return processes

    made = Pulse(engine, SuppressionList(engine), FreshEvents(log_location), health)
    async with made.watch(BOX) as box, made.watch(Scope.tenant(acme)) as tenant:
        await made.look_at_services()
        processes["mta-0"] = processes["mta-0"] | {"beat_at": 2}
        await made.look_at_services()
        assert await box.next(0) == set()
        processes["mta-0"] = processes["mta-0"] | {"pid": 2}
        await made.look_at_services()
        assert await box.next(0) == {Topic.SERVICES}
        assert await tenant.next(0) == set()
    await made.close()
