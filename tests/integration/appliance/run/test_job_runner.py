"""The worker's loop over jobs: words end a job, crashes are tried again, and an import loses no row."""

from __future__ import annotations

import pytest

from appliance.core.errors import StoreError, UsageError
from appliance.core.scope import Scope
from appliance.jobs import Jobs, JobState, Order, Step
from appliance.run.job_runner import MAX_CRASHES, JobRunner
from appliance.run.suppression_import import KIND, SuppressionImport, order, parts
from appliance.suppressions import BATCH, SuppressionList
from appliance.tenancy import AuditLog, Tenants

ADMIN = Scope.system(by="admin")


class Play:
    """A kind that does what it is told, step by step."""

    def __init__(self, *acts):
        self.acts = list(acts)

    async def step(self, job):
        act = self.acts.pop(0)
        if isinstance(act, BaseException):
            raise act
        return act


@pytest.fixture
def jobs(engine, now):
    return Jobs(engine, now)


async def play(jobs, *acts):
    made = await jobs.order(ADMIN, Order(kind="play"))
    runner = JobRunner(jobs, {"play": Play(*acts)}, "worker")
    while await runner.step():
        pass
    return await jobs.get(ADMIN, made.id)


async def test_a_job_is_done_step_by_step(jobs):
    ended = await play(jobs, Step(done=1), Step(done=2), Step(done=3, result={"sum": 6}))
    assert (ended.state, ended.done, ended.result) == (JobState.DONE, 3, {"sum": 6})


async def test_an_error_in_words_ends_it_with_them(jobs):
    ended = await play(jobs, Step(done=1), UsageError("the list is empty"))
    assert (ended.state, ended.error) == (JobState.FAILED, "the list is empty")


async def test_a_step_that_crashes_comes_again_and_ends_the_job_at_last(jobs, caplog):
    healed = await play(jobs, ValueError("x"), ValueError("x"), Step(result={}))
    assert healed.state is JobState.DONE
    ended = await play(jobs, *(ValueError("x") for _ in range(MAX_CRASHES)))
    assert (ended.state, ended.crashes) == (JobState.FAILED, MAX_CRASHES - 1)
    assert "see the worker's log" in ended.error
    assert "ValueError" in caplog.text


async def test_a_store_that_is_away_ends_nothing(jobs):
    made = await jobs.order(ADMIN, Order(kind="play"))
    runner = JobRunner(jobs, {"play": Play(StoreError("locked"), Step(result={}))}, "worker")
    with pytest.raises(StoreError):
        await runner.step()
    assert await runner.step()
    assert (await jobs.get(ADMIN, made.id)).state is JobState.DONE


async def test_a_kind_that_is_not_known_is_said(jobs):
    made = await jobs.order(ADMIN, Order(kind="of tomorrow"))
    await JobRunner(jobs, {}, "worker").step()
    assert "has no jobs of the kind of tomorrow" in (await jobs.get(ADMIN, made.id)).error


async def test_an_import_that_is_broken_off_anywhere_takes_every_row_once(engine, jobs, now):
    acme = await Tenants(engine).create(ADMIN, name="acme")
    suppressions = SuppressionList(engine, now)
    lines = [f"u{n}@example.org\n" for n in range(2 * BATCH + 10)]
    lines[1], lines[BATCH + 1] = "no address\n", "b\udcffd\0@example.org\n"
    made = await jobs.order(ADMIN, order(acme.id), parts(lines))
    kinds = {KIND: SuppressionImport(jobs, suppressions)}
    await JobRunner(jobs, kinds, "worker").step()
    lost = await jobs.take("worker")  # its step was done, and not written down
    await kinds[KIND].step(lost)
    runner = JobRunner(jobs, kinds, "worker")
    while await runner.step():
        pass
    ended = await jobs.get(ADMIN, made.id)
    assert (ended.state, ended.done, ended.total) == (JobState.DONE, 3, 3)
    assert (ended.result["imported"], ended.result["failed"]) == (len(lines) - 2, 2)
    assert [one["line"] for one in ended.result["errors"]] == [2, BATCH + 2]
    found = await suppressions.list(Scope.tenant(acme.id), limit=10_000)
    assert len(found) == len(lines) - 2
    (told,) = [
        one for one in await AuditLog(engine).list(ADMIN) if one.action == "suppression.import"
    ]
    assert told.detail == f"{len(lines) - 2} imported, 2 left out"
