"""Exports and rechecks as jobs, on both databases: page by page, a tenant's own alone, no row twice after a crash."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import chain

import pytest

from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.domains import BoxNames, Domains
from appliance.jobs import Jobs, JobState
from appliance.run import exports
from appliance.run.domain_recheck import KIND as RECHECK
from appliance.run.domain_recheck import DomainRecheck
from appliance.run.domain_recheck import order as recheck
from appliance.run.exports import KEPT, KIND, Export, file_of, order, tidy
from appliance.run.job_runner import JobRunner
from appliance.run.queue_look import Look
from appliance.suppressions import SuppressionList
from appliance.tenancy import AuditLog, Tenants
from tests.support.control import PlainHasher
from tests.support.mailroom import waiting

ADMIN = Scope.system(by="ann")


@pytest.fixture
def jobs(engine, now):
    return Jobs(engine, now)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.create()
    return made


@pytest.fixture
def suppressions(engine, now):
    return SuppressionList(engine, now)


@pytest.fixture
async def acme(engine, suppressions):
    tenant = await Tenants(engine).create(ADMIN, name="acme")
    other = await Tenants(engine).create(ADMIN, name="other")
    for n in range(7):
        await suppressions.add(ADMIN, f"u{n}@good.test", tenant_id=tenant.id)
    await suppressions.add(ADMIN, "theirs@good.test", tenant_id=other.id)
    return tenant


@pytest.fixture
def kinds(home, suppressions, engine):
    return {KIND: Export(home, None, suppressions, AuditLog(engine), Waiting())}


class Waiting:
    """Five recipients, of which each look sees two."""

    async def look(self, scope, wanted, after, limit, slices):
        assert (scope.tenant_id, wanted) == (None, {"domain": "good.test"})
        seen = [n for n in range(5) if (7, n) > tuple(after)][:2]
        rows = [waiting(7, 3, n, f"u{n}@good.test", 1_800_000_000_000) for n in seen]
        return Look(rows, (7, seen[-1]) if seen[-1] < 4 else None)


async def finished(jobs, kinds, made):
    runner = JobRunner(jobs, kinds, "worker")
    while await runner.step():
        pass
    return await jobs.get(ADMIN, made.id)


def rows_of(home, job):
    with file_of(home, job).open(newline="") as file:
        return list(csv.DictReader(file))


async def test_a_tenants_list_is_written_whole_and_nobody_elses(
    jobs, kinds, home, acme, monkeypatch
):
    monkeypatch.setattr(exports, "_PAGE", 3)
    done = await finished(jobs, kinds, await jobs.order(ADMIN, order("suppressions", {}, acme.id)))
    assert (done.state, done.result["rows"], done.result["is_cut"]) == (JobState.DONE, 7, False)
    rows = rows_of(home, done)
    assert [row["target"] for row in rows] == [f"u{n}@good.test" for n in range(7)]
    assert file_of(home, done).stat().st_size == done.result["octets"]
    assert file_of(home, done).stat().st_mode & 0o777 == 0o600


async def test_a_step_that_is_done_again_leaves_no_row_twice(jobs, kinds, home, acme, monkeypatch):
    monkeypatch.setattr(exports, "_PAGE", 3)
    made = await jobs.order(ADMIN, order("suppressions", {}, acme.id))
    first = await kinds[KIND].step(made)
    behind = replace(made, place=first.place)
    await kinds[KIND].step(behind)
    await kinds[KIND].step(behind)  # it died before its place was written down
    done = await finished(jobs, kinds, made)
    assert len(rows_of(home, done)) == 7


async def test_the_audit_log_is_written_newest_first(jobs, kinds, home, acme):
    done = await finished(jobs, kinds, await jobs.order(ADMIN, order("audit", {})))
    rows = rows_of(home, done)
    assert (rows[-1]["action"], rows[-1]["address"]) == ("tenant.create", "")
    assert len(rows) == done.result["rows"] >= 8


async def test_the_queue_is_written_look_by_look(jobs, kinds, home):
    made = await jobs.order(ADMIN, order("queue", {"domain": "good.test"}))
    rows = rows_of(home, await finished(jobs, kinds, made))
    assert [row["recipient"] for row in rows] == [f"u{n}@good.test" for n in range(5)]
    assert rows[0]["state"] == "deferred"


async def test_a_file_goes_after_a_week(jobs, kinds, home, acme):
    done = await finished(jobs, kinds, await jobs.order(ADMIN, order("audit", {})))
    made = file_of(home, done).stat().st_mtime_ns // 1_000_000
    tidy(home, made + KEPT - 1000)
    assert file_of(home, done).exists()
    tidy(home, made + KEPT + 1000)
    assert not file_of(home, done).exists()


async def test_all_domains_of_a_tenant_are_looked_at_in_turns(engine, jobs, acme):
    names = BoxNames(hostname="box.test", bounce_domain="bounces.box.test", addresses=())
    domains = Domains(engine, PlainKeys(), names, queue_life=1)
    other = await Tenants(engine).get(ADMIN, "other")
    for n in range(7):
        await domains.create(ADMIN, tenant_id=acme.id, name=f"d{n}.test")
    await domains.create(ADMIN, tenant_id=other.id, name="theirs.test")
    looked = []

    async def check(some):
        looked.append([one.name for one in some])

    kinds = {RECHECK: DomainRecheck(domains, check)}
    done = await finished(jobs, kinds, await jobs.order(ADMIN, recheck(acme.id)))
    assert [len(turn) for turn in looked] == [5, 2]
    assert sorted(chain(*looked)) == [f"d{n}.test" for n in range(7)]
    assert (done.state, done.result) == (JobState.DONE, {"domains": 7})
    nobody = await Tenants(engine).create(ADMIN, name="empty")
    assert (await finished(jobs, kinds, await jobs.order(ADMIN, recheck(nobody.id)))).result == {
        "domains": 0
    }


class PlainKeys(PlainHasher):
    """Stands in for MasterKeys: nothing here signs."""

    def encrypt(self, plaintext, *, bound_to):
        return "sealed"
