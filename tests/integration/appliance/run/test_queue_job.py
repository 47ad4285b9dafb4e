"""Acting on much mail as a job: shard by shard, turn by turn, a tenant's own mail alone, and no silence ends it."""

from __future__ import annotations

import pytest

from appliance.core.errors import NotRunningError
from appliance.core.scope import Scope
from appliance.jobs import Jobs, JobState
from appliance.run import queue_job
from appliance.run.job_runner import JobRunner
from appliance.run.queue_job import KIND, QueueAction
from appliance.run.web_queue import BoxQueue
from appliance.tenancy import Tenants
from mta.scheduling.changes import Action

ADMIN = Scope.system(by="ann")


class Owners:
    """Two shards: the first needs two turns, the second is silent at first."""

    def __init__(self):
        self.asked = []
        self.is_silent = True

    async def shards(self):
        return [0, 3]

    async def call(self, shard, method, payload, _timeout):
        assert method == "queue_act"
        if shard == 3 and self.is_silent:
            self.is_silent = False
            raise NotRunningError("the process that owns shard 3 does not answer")
        self.asked.append(payload)
        more = shard == 0 and payload["after"] is None
        return {
            "changed": 5,
            "being_sent": 1,
            "ready": 0,
            "after": (77, 0) if more else None,
            "upto": 99,
        }


@pytest.fixture
def jobs(engine, now):
    return Jobs(engine, now)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(queue_job, "_PATIENCE", 0.0)


async def done(jobs, scope, action, wanted, pool=""):
    owners = Owners()
    made = await BoxQueue(owners, jobs).order(scope, action, wanted, pool)
    runner = JobRunner(jobs, {KIND: QueueAction(owners)}, "worker")
    while await runner.step():
        pass
    return await jobs.get(scope, made.id), owners.asked


async def test_every_shard_is_gone_through_turn_by_turn(jobs):
    ended, asked = await done(jobs, ADMIN, Action.REROUTE, {"domain": "a.test"}, "main")
    assert (ended.state, ended.done) == (JobState.DONE, 15)
    assert ended.result == {"changed": 15, "being_sent": 3, "ready": 0}
    places = [(one["shard"], one["after"], one["upto"]) for one in asked]
    assert places == [(0, None, 0), (0, [77, 0], 99), (3, None, 0)]
    assert {one["action"] for one in asked} == {"reroute"}
    assert {one["pool"] for one in asked} == {"main"}
    assert {one["by"] for one in asked} == {"ann"}
    assert [one["filter"] for one in asked] == [{"domain": "a.test"}] * 3


async def test_a_tenant_means_its_own_mail_whatever_it_says(engine, jobs):
    acme = await Tenants(engine).create(ADMIN, name="acme")
    scope = Scope.tenant(acme.id, by="ada")
    ended, asked = await done(jobs, scope, Action.CANCEL, {"tenant_id": 999})
    assert ended.tenant_id == acme.id
    assert [one["filter"] for one in asked] == [{"tenant_id": acme.id}] * 3
    assert {one["by"] for one in asked} == {"ada"}


async def test_several_destinations_are_one_job(jobs):
    owners = Owners()
    parts = [{"domain": "a.test"}, {"domain": "b.test", "status": "held"}]
    made = await BoxQueue(owners, jobs).order(ADMIN, Action.RETRY, {"tag": "x"}, parts=parts)
    runner = JobRunner(jobs, {KIND: QueueAction(owners)}, "worker")
    while await runner.step():
        pass
    ended = await jobs.get(ADMIN, made.id)
    assert (ended.state, ended.done) == (JobState.DONE, 30)
    filters = [one["filter"] for one in owners.asked]
    assert filters[0] == {"tag": "x", "domain": "a.test"}
    assert filters[-1] == {"tag": "x", "domain": "b.test", "status": "held"}
    assert len(filters) == 6
