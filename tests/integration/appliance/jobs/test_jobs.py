"""Jobs on both databases: taken in turn, moved by their owner alone, gone on with after a crash."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.jobs import Jobs, JobState, Order, Step
from appliance.jobs.service import LEASE, PREPARING_LIFE
from appliance.tenancy import AuditLog, Tenants

ADMIN = Scope.system(by="admin")
COUNT = Order(kind="count", asked={"to": 3})


@pytest.fixture
def jobs(engine, now):
    return Jobs(engine, now)


async def test_a_job_is_queued_when_all_it_is_to_read_has_come_in(jobs, now):
    async def seen():
        return [(one.state, one.total) for one in await jobs.list(ADMIN)]

    def parts():
        yield "one"
        yield "two"

    assert await jobs.take("w") is None
    made = await jobs.order(ADMIN, COUNT, parts())
    assert await seen() == [(JobState.QUEUED, 2)]
    assert (made.asked, made.by, made.created_at) == ({"to": 3}, "admin", now.at)
    assert [await jobs.part(made.id, number) for number in range(3)] == ["one", "two", None]


async def test_one_whose_sender_broke_off_is_never_taken_and_is_forgotten(jobs, now):
    def broken():
        yield "one"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await jobs.order(ADMIN, COUNT, broken())
    assert await jobs.take("w") is None
    now.move(PREPARING_LIFE + 1)
    await jobs.forget(ADMIN, before=0)
    (one,) = await jobs.list(ADMIN)
    assert (one.state, one.error) == (JobState.FAILED, "it was never sent whole")
    assert await jobs.part(one.id, 0) is None
    now.move(1)
    assert await jobs.forget(ADMIN, before=now.at) == 1
    assert await jobs.list(ADMIN) == ()


async def test_steps_are_kept_until_a_result_ends_the_job(jobs, now):
    made = await jobs.order(ADMIN, COUNT, ["one"])
    taken = await jobs.take("w")
    assert (taken.id, taken.state, taken.started_at) == (made.id, JobState.RUNNING, now.at)
    assert await jobs.go_on(taken, "w", Step(place={"at": 1}, done=1))
    now.move(5)
    again = await jobs.take("w")
    assert (again.place, again.done, again.total, again.started_at) == ({"at": 1}, 1, 1, now.at - 5)
    assert await jobs.go_on(again, "w", Step(done=1, result={"sum": 6}))
    ended = await jobs.get(ADMIN, made.id)
    assert (ended.state, ended.result, ended.ended_at) == (JobState.DONE, {"sum": 6}, now.at)
    assert (await jobs.take("w"), await jobs.part(made.id, 0)) == (None, None)


async def test_jobs_are_served_in_turn(jobs, now):
    first = await jobs.order(ADMIN, COUNT)
    now.move(1)
    second = await jobs.order(ADMIN, COUNT)
    served = []
    for _ in range(4):
        now.move(1)
        taken = await jobs.take("w")
        served.append(taken.id)
        await jobs.go_on(taken, "w", Step(done=taken.done + 1))
    assert served == [first.id, second.id, first.id, second.id]


async def test_workers_that_take_at_once_never_take_the_same(jobs):
    made = {(await jobs.order(ADMIN, COUNT)).id for _ in range(4)}
    taken = await asyncio.gather(*(jobs.take(f"w{n}") for n in range(8)))
    ids = [one.id for one in taken if one is not None]
    assert len(ids) == len(set(ids))
    assert set(ids) <= made
    assert ids


async def test_what_a_dead_worker_had_is_taken_when_it_starts_again_or_after_a_time(jobs, now):
    made = await jobs.order(ADMIN, COUNT)
    old = await jobs.take("w")
    assert await jobs.take("other") is None
    assert await jobs.release("w") == 1
    assert (await jobs.take("w")).id == made.id
    now.move(LEASE)
    assert (await jobs.take("other")).id == made.id
    assert not await jobs.go_on(old, "w", Step(done=9))
    assert not await jobs.fail(old, "w", "too late")
    assert (await jobs.get(ADMIN, made.id)).done == 0


async def test_a_cancelled_job_is_moved_by_nobody(jobs):
    made = await jobs.order(ADMIN, COUNT, ["one"])
    taken = await jobs.take("w")
    assert (await jobs.cancel(ADMIN, made.id)).state is JobState.CANCELLED
    assert not await jobs.go_on(taken, "w", Step(result={}))
    assert not await jobs.crashed(taken, "w")
    with pytest.raises(ConflictError, match="it is cancelled"):
        await jobs.cancel(ADMIN, made.id)
    assert (await jobs.take("w"), await jobs.part(made.id, 0)) == (None, None)


async def test_crashes_in_a_row_are_counted_and_a_step_clears_them(jobs):
    made = await jobs.order(ADMIN, COUNT)
    await jobs.crashed(await jobs.take("w"), "w")
    taken = await jobs.take("w")
    assert taken.crashes == 1
    await jobs.go_on(taken, "w", Step(done=1))
    assert (await jobs.get(ADMIN, made.id)).crashes == 0


async def test_a_tenant_sees_and_ends_its_own_jobs_alone(engine, jobs):
    acme, other = [await Tenants(engine).create(ADMIN, name=name) for name in ("acme", "other")]
    own, stranger = Scope.tenant(acme.id, by="jo"), Scope.tenant(other.id)
    mine = await jobs.order(own, Order(kind="count", tenant_id=acme.id))
    await jobs.order(ADMIN, COUNT)
    assert [one.id for one in await jobs.list(own)] == [mine.id]
    assert await jobs.list(stranger) == ()
    for act in (jobs.get, jobs.cancel):
        with pytest.raises(NotFoundError, match=r"pillarbox job list"):
            await act(stranger, mine.id)
    with pytest.raises(UsageError):
        await jobs.order(stranger, Order(kind="count", tenant_id=acme.id))
    await jobs.cancel(own, mine.id)
    entries = await AuditLog(engine).list(own)
    assert [(one.action, one.by) for one in entries[:2]] == [
        ("job.cancel", "jo"),
        ("job.order", "jo"),
    ]


async def test_pages_go_on_where_the_one_before_ended(jobs):
    made = [(await jobs.order(ADMIN, COUNT)).id for _ in range(5)]
    page = await jobs.list(ADMIN, limit=3)
    rest = await jobs.list(ADMIN, before=page[-1].id)
    assert [one.id for one in (*page, *rest)] == made[::-1]
    await jobs.cancel(ADMIN, made[0])
    assert made[0] not in [one.id for one in await jobs.list(ADMIN, open_only=True)]
